// Draws one exercise's card. All state comes from Python; clicks go back as the words "hint" and "solution".
function make(parent, tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

// `names` in a message are shown as code.
function tell(node, text) {
  node.replaceChildren(...text.split(/`([^`]+)`/).map((part, i) => {
    if (i % 2 === 0) return document.createTextNode(part);
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  }));
}

function go(next) {
  const app = window.jupyterapp;
  if (!app) return;
  if (next.path) {
    app.commands.execute("docmanager:open", { path: next.path });
    return;
  }
  const notebook = app.shell.currentWidget.content;
  const index = notebook.widgets.findIndex((c) => c.model.sharedModel.getSource().includes(`check("${next.id}"`));
  if (index < 0) return;
  notebook.activeCellIndex = index;
  notebook.scrollToItem(index, "center");
}

function render({ model, el }) {
  const card = make(el, "section", "mlcourse-card");
  const head = make(card, "div", "mlcourse-head");
  const badge = make(head, "span", "mlcourse-badge");
  const title = make(head, "strong", "mlcourse-title");
  const message = make(card, "div", "mlcourse-message");
  message.setAttribute("role", "status");
  const heard = make(card, "div", "mlcourse-heard", "Your code printed:");
  const printed = make(heard, "pre", "mlcourse-code");
  printed.tabIndex = 0;
  printed.setAttribute("aria-label", "What your code printed");
  const hints = make(card, "ol", "mlcourse-hints");
  const row = make(card, "div", "mlcourse-row");
  const hint = make(row, "button", "mlcourse-hint");
  const solution = make(row, "button", "mlcourse-open", "Show solution");
  const next = make(row, "button", "mlcourse-next");
  const code = make(card, "pre", "mlcourse-code mlcourse-solution");
  code.tabIndex = 0;
  code.setAttribute("aria-label", "Two right answers");
  const foot = make(card, "label", "mlcourse-foot");
  const count = make(foot, "span");
  const bar = make(foot, "progress");
  const trouble = make(card, "div", "mlcourse-trouble");

  hint.onclick = () => model.send("hint");
  solution.onclick = () => model.send("solution");
  next.onclick = () => go(model.get("state").next);

  let said;
  const draw = () => {
    const s = model.get("state");
    card.dataset.kind = s.kind;
    card.setAttribute("aria-label", `Exercise ${s.id}: ${s.kind}`);
    badge.textContent = `${s.mark} ${s.kind[0].toUpperCase()}${s.kind.slice(1)}`;
    title.textContent = `${s.id} · ${s.title}`;
    if (said !== s.message) tell(message, (said = s.message)); // spoken once by a screen reader
    printed.textContent = s.printed;
    heard.hidden = !s.printed;
    while (hints.children.length < s.hints.length) tell(make(hints, "li"), s.hints[hints.children.length - 1]);
    hints.hidden = !s.hints.length;
    hint.textContent = s.hints_left ? `Hint (${s.hints_left} left)` : "No more hints";
    hint.disabled = !s.hints_left;
    solution.disabled = Boolean(s.missing);
    solution.textContent = s.missing ? `Solution after ${s.missing}` : "Show solution";
    next.hidden = !s.next.label;
    next.textContent = s.next.label ? `${s.next.label} →` : "";
    code.textContent = model.get("solution");
    code.hidden = !model.get("solution");
    bar.max = s.total;
    bar.value = s.done;
    count.textContent = `${s.done} of ${s.total} exercises of this lesson passed`;
    trouble.textContent = s.trouble;
    trouble.hidden = !s.trouble;
  };
  model.on("change", draw);
  draw();
  return () => model.off("change", draw);
}

export default { render };

"""Lesson 07's module: typed tables, contracts that refuse what is wrong, the Bureau's files, and a download that cannot lie."""

import csv
import hashlib
import io
import pickle
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from mlcourse.data import (
    ContractError,
    Rule,
    connect,
    contract,
    coverage,
    download_month,
    load,
    load_months,
    relative_humidity,
    report,
    validate,
)

TABLES = ("flights", "weather", "planes", "airports", "airlines")
ROWS = {"flights": 336_776, "weather": 26_115, "planes": 3_322, "airports": 1_458, "airlines": 16}


@pytest.fixture(scope="module")
def tables():
    return {name: load(name) for name in TABLES}


@pytest.fixture
def flights(tables):
    return tables["flights"].copy()


@pytest.fixture
def weather(tables):
    return tables["weather"].copy()


def errors(table, name, **terms):
    """The rules that a table breaks, joined; the refusal itself is checked on the way."""
    with pytest.raises(ContractError) as caught:
        validate(table, name, **terms)
    found = caught.value.report
    assert list(found) == ["table", "column", "rule", "severity", "count", "of", "first"]
    assert set(found.table) == {name} and found["count"].gt(0).all()
    return " | ".join(found[found.severity == "error"].rule)


# -- load and connect


@pytest.mark.parametrize("name", TABLES)
def test_load_is_typed_and_whole(tables, name):
    table = tables[name]
    assert len(table) == ROWS[name]
    assert {str(t) for t in table.dtypes} <= {"int64", "float64", "str", "datetime64[us, UTC]"}
    assert not table.isin(["NA"]).any().any()


def test_missing_values_are_the_known_ones(tables):
    missing = tables["flights"].isna().sum()
    assert (missing.dep_time, missing.arr_delay, missing.tailnum) == (8_255, 9_430, 2_512)
    assert tables["planes"].year.isna().sum() == 70


def test_connect_agrees_with_load_without_pandas(tables, monkeypatch):
    monkeypatch.setattr("mlcourse.data.load", None)
    monkeypatch.setattr(pd.DataFrame, "__init__", None)
    con = connect()
    for name in TABLES:
        columns = [row[0] for row in con.sql(f"describe {name}").fetchall()]
        assert columns == list(tables[name])
        assert con.sql(f"select count(*) from {name}").fetchall() == [(ROWS[name],)]
    # an hour of New York is found again in SQL
    [(hour,)] = con.sql("""select count(*) from flights where
        extract(hour from time_hour at time zone 'America/New_York') <> hour""").fetchall()
    assert hour == 0


def test_unknown_table_is_refused_by_name():
    for call in (load, contract, lambda name: report(pd.DataFrame(), name)):
        with pytest.raises(ValueError, match=r"name must be one of flights.*got 'fligths'"):
            call("fligths")


@pytest.mark.parametrize("cut", (0.3, 0.5, 0.77))
def test_csv_cut_in_a_row_does_not_parse(tmp_path, tables, cut):
    text = tables["planes"].to_csv(index=False, na_rep="NA").encode()
    end = int(len(text) * cut)
    while text[end : end + 1] != b",":  # in the middle of a row
        end += 1
    (tmp_path / "planes.csv").write_bytes(text[:end])
    with pytest.raises(ValueError, match="columns"):
        load("planes", tmp_path)


def test_folder_with_the_same_files_gives_the_same_table(tmp_path, tables):
    tables["airlines"].to_csv(tmp_path / "airlines.csv", index=False)
    pd.testing.assert_frame_equal(load("airlines", tmp_path), tables["airlines"])


def test_heavy_libraries_are_imported_where_they_are_used():
    code = (
        "import sys, mlcourse.data; print({'pandera', 'duckdb', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# -- contracts


@pytest.mark.parametrize("name", TABLES)
def test_real_table_passes_and_is_not_touched(tables, name):
    before = tables[name].copy()
    assert validate(tables[name], name) is tables[name]
    pd.testing.assert_frame_equal(tables[name], before)
    assert set(report(tables[name], name).severity) <= {"warning"}


def test_known_faults_are_warnings(tables):
    wind = report(tables["weather"], "weather")
    assert wind["count"].tolist() == [1] and "1048" in wind["first"][0]
    places = report(tables["airports"], "airports").set_index("column")
    assert places.loc["lat", "count"] == 1 and places.loc["lon", "count"] == 4
    assert "faa=EEN" in places.loc["lat", "first"]


@pytest.mark.parametrize("name", ("weather", "planes", "airports", "airlines"))
def test_every_missing_column_is_named(tables, name):
    for column in tables[name]:
        with pytest.raises(ContractError, match=rf"{column}: missing column"):
            validate(tables[name].drop(columns=column), name)


@pytest.mark.parametrize("column", ("year", "origin", "time_hour", "arr_delay", "flight"))
def test_missing_column_of_flights_is_named(flights, column):
    assert "missing column" in errors(flights.drop(columns=column), "flights")


def celsius(fahrenheit):
    return (fahrenheit - 32) / 1.8


UNITS = {
    "both in °C": ("weather", lambda t: t.assign(temp=celsius(t.temp), dewp=celsius(t.dewp)), "humid follows"),
    "temp in °C": ("weather", lambda t: t.assign(temp=celsius(t.temp)), "humid follows"),
    "dewp in °C": ("weather", lambda t: t.assign(dewp=celsius(t.dewp)), "humid follows"),
    "both in K": ("weather", lambda t: t.assign(temp=celsius(t.temp) + 273.15, dewp=celsius(t.dewp) + 273.15), "°F"),
    "°C at one airport": ("weather", lambda t: t.assign(
        temp=t.temp.where(t.origin != "JFK", celsius(t.temp)), dewp=t.dewp.where(t.origin != "JFK", celsius(t.dewp))), "°F"),
    "°C for one week": ("weather", lambda t: t.assign(
        temp=t.temp.where((t.month != 5) | (t.day > 7), celsius(t.temp)),
        dewp=t.dewp.where((t.month != 5) | (t.day > 7), celsius(t.dewp))), "°F"),
    "humid as a share": ("weather", lambda t: t.assign(humid=t.humid / 100), "humid follows"),
    "wind in m/s": ("weather", lambda t: t.assign(wind_speed=t.wind_speed * 0.44704), "knots"),
    "wind in km/h": ("weather", lambda t: t.assign(wind_speed=t.wind_speed * 1.609344), "knots"),
    "wind in knots": ("weather", lambda t: t.assign(wind_speed=t.wind_speed / 1.15078), "knots"),
    "gusts in m/s": ("weather", lambda t: t.assign(wind_gust=t.wind_gust * 0.44704), "wind_gust"),
    "pressure in inHg": ("weather", lambda t: t.assign(pressure=t.pressure / 33.8639), "hPa"),
    "rain in mm": ("weather", lambda t: t.assign(precip=t.precip * 25.4), "inches"),
    "visibility in km": ("weather", lambda t: t.assign(visib=t.visib * 1.609344), "miles"),
    "local time sent as UTC": ("weather", lambda t: t.assign(
        time_hour=t.time_hour.dt.tz_convert("America/New_York").dt.tz_localize(None).dt.tz_localize("UTC")), "New York"),
    "distance in km": ("flights", lambda t: t.assign(distance=(t.distance * 1.609344).round().astype(int)), "mph"),
    "air_time in hours": ("flights", lambda t: t.assign(air_time=t.air_time / 60), "minutes"),
    "dep_delay in hours": ("flights", lambda t: t.assign(dep_delay=t.dep_delay / 60), "dep_delay is"),
    "arr_delay in seconds": ("flights", lambda t: t.assign(arr_delay=t.arr_delay * 60), "arr_delay is"),
    "clock in minutes": ("flights", lambda t: t.assign(
        sched_dep_time=t.sched_dep_time // 100 * 60 + t.sched_dep_time % 100), "sched_dep_time"),
    "altitude in metres": ("airports", lambda t: t.assign(alt=(t.alt * 0.3048).round().astype(int)), "5,431 feet"),
    "lat and lon swapped": ("airports", lambda t: t.assign(lat=t.lon, lon=t.lat), "degrees north"),
    "longitude counted to the west": ("airports", lambda t: t.assign(lon=-t.lon), "west"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNITS)
def test_wrong_unit_is_refused(tables, what):
    name, change, rule = UNITS[what]
    assert rule in errors(change(tables[name]), name)


def test_one_day_is_judged_as_well_as_a_year(weather):
    """A delivery of one day passes in °F and is refused in °C, also in a humid week, unless it is all fog."""
    verdicts = []
    for day in range(1, 29):
        one = weather.query("month == 6 and day == @day")
        terms = {"span": (f"2013-06-{day:02d}", f"2013-06-{day:02d}")}
        assert validate(one, "weather", **terms) is one
        found = report(one.assign(temp=celsius(one.temp), dewp=celsius(one.dewp)), "weather", **terms)
        verdicts.append(found.rule.str.contains("humid follows").any())
    assert np.mean(verdicts) > 0.95


def test_relative_humidity_follows_physics():
    t = pd.Series([32.0, 68.0, 95.0])
    assert np.allclose(relative_humidity(t, t), 100)
    assert relative_humidity(t, t - 10).between(0, 100).all()
    # 20 °C and a dew point of 9.3 °C are 50 % (any psychrometric table)
    assert abs(relative_humidity(pd.Series([68.0]), pd.Series([9.27 * 1.8 + 32]))[0] - 50) < 0.2
    assert relative_humidity(pd.Series([np.nan]), pd.Series([50.0])).isna().all()


@pytest.mark.parametrize("name", TABLES)
def test_duplicated_keys_are_refused(tables, name):
    table = tables[name]
    twice = pd.concat([table, table.iloc[[5]]], ignore_index=True)
    assert "is unique" in errors(twice, name)
    found = report(twice, name)
    assert found.loc[found.rule.str.contains("unique"), "count"].item() == 2


def test_clock_change_is_no_duplicate(weather, flights):
    assert weather.duplicated(["origin", "year", "month", "day", "hour"]).sum() == 3
    assert not weather.duplicated(["origin", "time_hour"]).any()
    assert flights.duplicated(["year", "month", "day", "carrier", "flight"]).sum() == 24


@pytest.mark.parametrize(
    "column, value", [("year", 2012), ("year", 2031), ("month", 13), ("day", 32), ("day", 0)]
)
@pytest.mark.parametrize("name", ("flights", "weather"))
def test_date_out_of_range_is_refused(tables, name, column, value):
    table = tables[name].copy()
    table.loc[table.index[17], column] = value
    assert "date is 2013-01-01" in errors(table, name)


def test_time_hour_of_another_year_is_refused(flights):
    flights.loc[3, "time_hour"] += pd.Timedelta(days=365)
    assert "New York" in errors(flights, "flights")


HALVES = {
    "first": lambda t: t.iloc[: len(t) // 2],
    "second": lambda t: t.iloc[len(t) // 2 :],
    "every other row": lambda t: t.iloc[::2],
    "random": lambda t: t.sample(frac=0.5, random_state=3),
}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("name", TABLES)
def test_half_a_file_is_refused(tables, name, half):
    assert "at least" in errors(HALVES[half](tables[name]), name)


@pytest.mark.parametrize("name", ("flights", "weather"))
def test_one_lost_day_of_one_airport_is_refused(tables, name):
    table = tables[name]
    gone = table.query("not (origin == 'LGA' and month == 7 and day == 3)")
    assert "per airport and day" in errors(gone, name)
    found = report(gone, name).query("severity == 'error'")
    assert found["count"].tolist() == [1] and "origin=LGA date=2013-07-03 rows=0" in found["first"].iloc[0]


@pytest.mark.parametrize("name", TABLES)
def test_empty_table_is_refused(tables, name):
    assert "at least" in errors(tables[name].head(0), name)


def test_coverage_counts_every_row_once(tables):
    for name in ("flights", "weather"):
        days = coverage(tables[name], name)
        assert days.rows.sum() == len(tables[name]) and days.groupby("origin").size().nunique() == 1
    assert coverage(tables["planes"], "planes").rows.tolist() == [ROWS["planes"]]


def test_wrong_types_are_reported_once_each(weather):
    found = report(weather.assign(temp=weather.temp.astype(str), hour=weather.hour.astype(float)), "weather")
    bad = found[found.severity == "error"]
    assert bad.column.tolist() == ["hour", "temp"] and bad.rule.str.startswith("type is").all()


def test_missing_value_where_none_may_be(tables):
    planes = tables["planes"].copy()
    planes.loc[[4, 9], "model"] = None
    found = report(planes, "planes")
    assert found.rule.tolist() == ["is never missing"] and found["count"].tolist() == [2]
    assert found["first"][0].startswith("row 4: tailnum=")


def test_extra_column_is_a_warning(tables):
    table = tables["airlines"].assign(alliance="none")
    assert validate(table, "airlines") is table
    assert report(table, "airlines").rule.tolist() == ["not in the contract"]


def test_report_names_table_column_rule_count_and_rows(weather):
    weather.loc[[7, 8, 9, 10], "humid"] = 140.0
    with pytest.raises(ContractError) as caught:
        validate(weather, "weather")
    line = caught.value.report.query("rule == '0 to 100 %'").iloc[0]
    assert (line["table"], line["column"], line["count"], line["of"]) == ("weather", "humid", 4, len(weather))
    assert line["first"].startswith("row 7: origin=EWR") and line["first"].count("humid=140") == 3
    text = str(caught.value)
    assert (
        "weather refused" in text and "humid: 0 to 100 %: 4 of 26,115" in text and "row 7: origin=EWR" in text
    )
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == text and again.report.equals(caught.value.report)


def test_any_index_and_order_give_the_same_verdict(weather):
    weather.loc[100:104, "pressure"] = 30.0
    shuffled = weather.sample(frac=1, random_state=1).set_axis(["same"] * len(weather))
    a, b = report(weather, "weather"), report(shuffled, "weather")
    assert a[["rule", "severity", "count"]].equals(b[["rule", "severity", "count"]])


def test_rule_that_cannot_run_is_never_passed_over(tables):
    rule = Rule("broken rule", "year", lambda t: t.yaer < 1980, allow=1.0)
    assert "broken rule: cannot be checked" in errors(tables["planes"], "planes", extra=[rule])


def test_orphans_are_measured_and_never_refused(tables):
    planes = tables["planes"]
    known = Rule(
        "tailnum is in planes", "tailnum", lambda t: t.tailnum.notna() & ~t.tailnum.isin(planes.tailnum), 1.0
    )
    found = report(tables["flights"], "flights", extra=[known])
    assert found.severity.tolist() == ["warning"]
    assert found["count"].item() + tables["flights"].tailnum.isna().sum() == 52_606


def test_rule_of_your_own_refuses(tables):
    rule = Rule("no plane is older than 1980", "year", lambda t: t.year < 1980, allow=0.0)
    assert "older than 1980" in errors(tables["planes"], "planes", extra=[rule])


# -- the Bureau's monthly files

STEM = "On_Time_Reporting_Carrier_On_Time_Performance_{}_{}_{}"
BUREAU = {
    "DepTime": "dep_time", "CRSDepTime": "sched_dep_time", "DepDelay": "dep_delay", "ArrTime": "arr_time",
    "CRSArrTime": "sched_arr_time", "ArrDelay": "arr_delay", "Reporting_Airline": "carrier",
    "Flight_Number_Reporting_Airline": "flight", "Tail_Number": "tailnum", "Origin": "origin", "Dest": "dest",
    "AirTime": "air_time", "Distance": "distance",
}  # fmt: skip


def as_bureau(flights):
    """csv text as the Bureau writes it: Year first, all else quoted, hhmm texts, amounts as 1400.00, a comma at the end."""
    out = io.StringIO()
    extra = {"Cancelled": lambda r: f"{float(np.isnan(r.dep_time)):.2f}", "CancellationCode": lambda r: ""}
    header = ["Year", "Quarter", "Month", "DayofMonth", "FlightDate", *BUREAU, *extra]
    out.write(",".join(["Year", *(f'"{h}"' for h in header[1:])]) + ",\n")
    write = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=",\n")
    for r in flights.itertuples():
        date = f"{r.year}-{r.month:02d}-{r.day:02d}"
        row = [r.year, (r.month - 1) // 3 + 1, r.month, r.day, date]
        for ours in BUREAU.values():
            value = getattr(r, ours)
            empty = isinstance(value, float) and np.isnan(value)
            clock, amount = (
                ours.endswith("_time") and ours != "air_time",
                ours in ("dep_delay", "arr_delay", "distance"),
            )
            text = (
                f"{int(value):04d}"
                if clock and not empty
                else f"{value:.2f}"
                if amount and not empty
                else value
            )
            row.append("" if empty else text)
        write.writerow([*row, *(make(r) for make in extra.values())])
    return out.getvalue()


def month_file(folder, text, year=2013, month=1, stem="1987_present", inside=None, also=()):
    path = folder / f"{STEM.format(stem, year, month)}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(inside or f"{STEM.format('(1987_present)', year, month)}.csv", text)
        for name in also:
            z.writestr(name, "<html></html>")
    return path


@pytest.fixture(scope="module")
def january(tables):
    return tables["flights"].query("month == 1 and day <= 3").reset_index(drop=True)


@pytest.fixture(scope="module")
def january_csv(january):
    return as_bureau(january)


def test_month_reads_back_to_the_same_frame(tmp_path, january, january_csv):
    month_file(tmp_path, january_csv, also=["readme.html"])
    pd.testing.assert_frame_equal(load_months(tmp_path), january)


def test_clock_changes_and_order_of_months(tmp_path, tables):
    flights = tables["flights"]
    parts = []
    for month, days in ((3, (9, 10, 11)), (11, (2, 3, 4)), (10, (31,))):
        part = flights[flights.month.eq(month) & flights.day.isin(days)]
        month_file(tmp_path, as_bureau(part), month=month)
        parts.append((month, part))
    expected = pd.concat([part for _, part in sorted(parts, key=lambda p: p[0])], ignore_index=True)
    pd.testing.assert_frame_equal(load_months(tmp_path), expected)


def test_midnight_as_2400(tmp_path, january):
    one = january.head(2).assign(sched_dep_time=[2400, 2359], dep_time=[2400.0, 15.0])
    month_file(tmp_path, as_bureau(one))
    back = load_months(tmp_path)
    assert back.sched_dep_time.tolist() == [2400, 2359] and back.dep_time.tolist() == [2400.0, 15.0]
    assert back.hour.tolist() == [0, 23] and back.minute.tolist() == [0, 59]
    assert [str(t) for t in back.time_hour] == ["2013-01-02 05:00:00+00:00", "2013-01-02 04:00:00+00:00"]
    found = report(back, "flights", span=("2013-01-01", "2013-01-01"), least=0)
    assert not found.rule.str.contains("New York|hour and minute").any()


def test_other_airports_and_zone(tmp_path, january):
    month_file(tmp_path, as_bureau(january.head(6).assign(origin=["ORD", "EWR", "BOS"] * 2)))
    assert load_months(tmp_path).origin.tolist() == ["EWR", "EWR"]
    chicago = load_months(tmp_path, origins=["ORD"], zone="America/Chicago")
    assert chicago.time_hour[0] == january.time_hour[0] + pd.Timedelta(hours=1)
    nobody = load_months(tmp_path, origins=["SFO"])
    assert nobody.empty and nobody.dtypes.equals(load_months(tmp_path).dtypes)


def test_name_with_parentheses_and_month_there_twice(tmp_path, january_csv):
    month_file(tmp_path, january_csv, stem="(1987_present)")
    assert len(load_months(tmp_path)) > 2000
    month_file(tmp_path, january_csv)
    with pytest.raises(ValueError, match="same month twice"):
        load_months(tmp_path)


def test_missing_column_of_the_bureau_is_reported(tmp_path, january_csv):
    month_file(tmp_path, january_csv.replace('"Tail_Number"', '"TailNum"', 1))
    with pytest.raises(ContractError, match="Tail_Number: missing column"):
        load_months(tmp_path)


def test_flights_of_another_month_are_reported(tmp_path, january_csv):
    month_file(tmp_path, january_csv, month=2)
    with pytest.raises(ContractError, match="FlightDate lies in 2013-02") as caught:
        load_months(tmp_path)
    assert "date=2013-01-01" in caught.value.report["first"][0]


def test_value_that_is_no_number_is_refused(tmp_path, january):
    text = as_bureau(january.head(3)).replace('"517"', '"5:17"').replace('"0517"', '"5:17"')
    month_file(tmp_path, text)
    with pytest.raises(ValueError, match="5:17"):
        load_months(tmp_path)


def test_folder_without_months(tmp_path):
    (tmp_path / "notes.zip").write_text("no month")
    (tmp_path / (STEM.format("1987_present", 2013, 1) + ".zip.part")).write_text("half")
    with pytest.raises(FileNotFoundError, match="download_month"):
        load_months(tmp_path)


@pytest.mark.parametrize("share", (0.0, 0.2, 0.5, 0.9, 0.9999))
def test_part_of_a_zip_is_never_a_month(tmp_path, january_csv, share):
    path = month_file(tmp_path, january_csv)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match="not a whole zip file"):
        load_months(tmp_path)


def test_a_flipped_bit_is_found(tmp_path, january_csv):
    path = month_file(tmp_path, january_csv)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    with pytest.raises(ValueError, match="download it again"):
        load_months(tmp_path)


@pytest.mark.parametrize("files", (0, 2))
def test_zip_without_exactly_one_csv(tmp_path, files):
    with zipfile.ZipFile(tmp_path / f"{STEM.format('1987_present', 2013, 1)}.zip", "w") as z:
        for i in range(files):
            z.writestr(f"{i}.csv", "a,b\n")
        z.writestr("readme.html", "")
    with pytest.raises(ValueError, match=f"{files} csv files inside, not 1"):
        load_months(tmp_path)


# -- the download, against a server on this machine


class Bureau(BaseHTTPRequestHandler):
    """Serves `server.body` and misbehaves once for each word in `server.faults`; `server.asked` keeps the Range headers."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        server, body = self.server, self.server.body
        asked = self.headers.get("Range")
        server.asked.append(asked)
        fault = server.faults.pop(0) if server.faults else ""
        if fault.isdigit():
            self.send_error(int(fault))
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and fault != "no range" else 0
        if start >= len(body):
            self.send_error(416)
            return
        if fault == "corrupt":
            body = bytes([*body[:200], body[200] ^ 255, *body[201:]])
        piece = body[start:]
        self.send_response(206 if start else 200)
        if start:
            shift = 1 if fault == "shifted" else 0
            self.send_header("Content-Range", f"bytes {start + shift}-{len(body) - 1}/{len(body)}")
        length = {"too long": len(piece) + 100, "too short": len(piece) - 100}.get(fault, len(piece))
        if fault != "no length":
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(
            piece[: len(piece) // 2] if fault in ("break", "no length, break") else piece[:length]
        )
        self.close_connection = True


@pytest.fixture
def bureau(tmp_path, january_csv):
    (tmp_path / "server").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bureau)
    server.body = month_file(tmp_path / "server", january_csv).read_bytes()
    server.faults, server.asked = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(bureau, folder, **more):
    return download_month(2013, 1, folder, url=bureau.url, **({"wait": 0.0, "timeout": 5.0} | more))


def names(folder):
    return sorted(p.name.rpartition("_1.")[2] for p in folder.iterdir()) if folder.exists() else []


def test_download_gives_a_month_and_its_sum(bureau, tmp_path, january):
    folder = tmp_path / "new" / "folder"
    path = fetch(bureau, folder)
    assert path.read_bytes() == bureau.body and names(folder) == ["zip", "zip.sha256"]
    digest = hashlib.sha256(bureau.body).hexdigest()
    assert (folder / f"{path.name}.sha256").read_text() == f"{digest}  {path.name}\n"
    pd.testing.assert_frame_equal(load_months(folder), january)
    assert fetch(bureau, folder) == path and len(bureau.asked) == 1  # the second call asks nobody


def test_broken_connection_is_resumed_where_it_broke(bureau, tmp_path):
    bureau.faults = ["break", "break"]
    path = fetch(bureau, tmp_path / "d")
    assert path.read_bytes() == bureau.body
    half = len(bureau.body) // 2
    assert bureau.asked[:2] == [None, f"bytes={half}-"] and len(bureau.asked) == 3


def test_what_came_stays_for_the_next_call(bureau, tmp_path):
    bureau.faults = ["break"] * 2
    with pytest.raises(ConnectionError, match="broke off"):
        fetch(bureau, tmp_path / "d", tries=2)
    assert names(tmp_path / "d") == ["zip.part"]
    with pytest.raises(FileNotFoundError):
        load_months(tmp_path / "d")
    assert fetch(bureau, tmp_path / "d").read_bytes() == bureau.body
    assert bureau.asked[-1].startswith("bytes=")


@pytest.mark.parametrize("second", ("no range", "shifted"))
def test_server_that_does_not_resume_sends_all_again(bureau, tmp_path, second):
    bureau.faults = ["break", second]
    assert fetch(bureau, tmp_path / "d").read_bytes() == bureau.body


@pytest.mark.parametrize("fault", ("too long", "too short", "corrupt", "500", "503", "429"))
def test_fault_that_passes_is_overcome(bureau, tmp_path, fault):
    bureau.faults = [fault]
    assert fetch(bureau, tmp_path / "d").read_bytes() == bureau.body
    assert names(tmp_path / "d") == ["zip", "zip.sha256"]


@pytest.mark.parametrize("fault", ("corrupt", "too short"))
def test_damaged_body_is_never_named(bureau, tmp_path, fault):
    bureau.faults = [fault] * 9
    with pytest.raises(ValueError, match="download it again"):
        fetch(bureau, tmp_path / "d", tries=3)
    assert names(tmp_path / "d") == []


def test_length_that_is_never_kept(bureau, tmp_path):
    bureau.faults = ["too long"] * 9
    with pytest.raises(ConnectionError, match="broke off"):
        fetch(bureau, tmp_path / "d", tries=3)
    assert names(tmp_path / "d") in ([], ["zip.part"])


def test_no_length_needs_a_whole_zip(bureau, tmp_path):
    bureau.faults = ["no length"]
    assert fetch(bureau, tmp_path / "d").read_bytes() == bureau.body


@pytest.mark.parametrize("code", ("404", "403", "410"))
def test_no_such_month(bureau, tmp_path, code):
    bureau.faults = [code] * 9
    with pytest.raises(FileNotFoundError, match=f"no such month: {code} for http"):
        fetch(bureau, tmp_path / "d")
    assert len(bureau.asked) == 1 and names(tmp_path / "d") == []


def test_nobody_answers(bureau, tmp_path):
    with pytest.raises(ConnectionError):
        download_month(2013, 1, tmp_path / "d", url="http://127.0.0.1:9/", tries=2, wait=0.0, timeout=2.0)
    assert names(tmp_path / "d") == []


@pytest.mark.parametrize("left", (1, 100, 10**7))
def test_part_of_another_file_does_no_harm(bureau, tmp_path, left):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / f"{STEM.format('1987_present', 2013, 1)}.zip.part").write_bytes(b"x" * left)
    assert fetch(bureau, tmp_path / "d").read_bytes() == bureau.body


def test_sha256_that_is_given(bureau, tmp_path):
    right = hashlib.sha256(bureau.body).hexdigest()
    with pytest.raises(ValueError, match=r"has sha256 .*expected 0000"):
        fetch(bureau, tmp_path / "d", sha256="0" * 64, tries=2)
    assert names(tmp_path / "d") == []
    path = fetch(bureau, tmp_path / "d", sha256=right.upper())
    with pytest.raises(ValueError, match="has sha256"):
        fetch(bureau, tmp_path / "d", sha256="0" * 64)
    assert path.exists()


def test_sha256_that_was_recorded_is_checked_later(bureau, tmp_path, january):
    path = fetch(bureau, tmp_path / "d")
    month_file(tmp_path / "d", as_bureau(january.head(50)))  # a whole zip, but not the one that was fetched
    for later in (lambda: load_months(tmp_path / "d"), lambda: fetch(bureau, tmp_path / "d")):
        with pytest.raises(ValueError, match=f"{path.name} has sha256"):
            later()


def test_full_disk_is_not_taken_for_a_bad_line(bureau, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(bureau, tmp_path / "d")
    assert len(bureau.asked) == 1 and "zip" not in names(tmp_path / "d")


@pytest.mark.parametrize("year, month", [(1986, 12), (2013, 0), (2013, 13)])
def test_month_that_cannot_be(tmp_path, year, month):
    with pytest.raises(ValueError, match=f"got {year} and {month}"):
        download_month(year, month, tmp_path)

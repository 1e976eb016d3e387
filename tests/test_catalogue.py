r"""Catalogues come back as they went out, and other programs can read them."""

import gzip
import io
import re
import tracemalloc
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits, votable
from astropy.table import MaskedColumn, Table

from pipeline.catalogue import (
    Column,
    concatenate,
    in_parts,
    match_positions,
    read_table,
    write_table,
)
from pipeline.errors import ConfigError, DataError

SUFFIXES = [".parquet", ".fits", ".vot", ".xml", ".csv", ".ecsv"]
COLUMNS = [
    Column("id", "", "The name"),
    Column("ra", "deg", "Right ascension (ICRS), in words that do not fit on one header card"),
    Column("p_spiral", "", "A calibrated probability: 0 to 1"),
    Column("count", "pix"),
    Column("clean"),
    Column("reason", "", "Why <it> was & is"),
]
METADATA = {"model_version": "resnet@3", "fingerprint": "f" * 100 + "'", "software": "0.1.0"}


def part(start: int, stop: int) -> pa.Table:
    rows = range(start, stop)
    columns = {
        "id": pa.array([f"{i:06d}" for i in rows], pa.string()),
        "ra": pa.array([None if i % 5 == 0 else i / 7 for i in rows], pa.float64()),
        "p_spiral": pa.array([i / 1e5 for i in rows], pa.float32()),
        "count": pa.array([None if i % 3 == 0 else i - 2**40 for i in rows], pa.int64()),
        "clean": pa.array([i % 2 == 0 for i in rows], pa.bool_()),
        "reason": pa.array(['cut, "half"' if i % 4 else None for i in rows], pa.string()),
        "unwanted": pa.array(rows, pa.int8()),
    }

    return pa.table(columns)


@pytest.fixture
def parts(tmp_path):
    paths = [tmp_path / f"part{i}.parquet" for i in range(3)]
    for path, (start, stop) in zip(paths, [(0, 57), (57, 57), (57, 100)], strict=True):
        pq.write_table(part(start, stop), path)

    return paths


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(suffix, parts, tmp_path):
    path = tmp_path / f"catalogue{suffix}"
    concatenate(parts, path, COLUMNS, METADATA)
    table, expected = read_table(path), part(0, 100)

    assert table.colnames == [column.name for column in COLUMNS]
    for column in COLUMNS:
        assert str(table[column.name].unit or "") == column.unit
        assert (table[column.name].description or "") == column.description
    assert METADATA.items() <= table.meta.items()
    if suffix == ".parquet":
        assert table.meta.keys() == METADATA.keys()
        theirs = Table.read(path, format="parquet")
        assert METADATA.items() <= theirs.meta.items() and theirs["ra"].unit == "deg"
        assert theirs["ra"].description == COLUMNS[1].description
        assert theirs["id"].tolist() == part(0, 100)["id"].to_pylist()

    assert table["id"].tolist() == expected["id"].to_pylist()
    assert table["reason"].tolist() == [word or "" for word in expected["reason"].to_pylist()]
    assert table["clean"].tolist() == expected["clean"].to_pylist()
    assert table["count"].tolist() == expected["count"].to_pylist()
    assert table["p_spiral"].dtype == np.float32
    for name in ("ra", "p_spiral"):
        values = expected[name].to_numpy(zero_copy_only=False)
        assert np.array_equal(table[name], values, equal_nan=True)
    assert len(list(tmp_path.iterdir())) == len(parts) + 1


def test_standards(parts, tmp_path):
    pq.write_table(part(57, 58).set_column(0, "id", pa.array(["NGC é"])), parts[1])
    for suffix in (".fits", ".vot"):
        concatenate(parts, tmp_path / f"c{suffix}", COLUMNS, METADATA | {"survey": "é"})

    with fits.open(tmp_path / "c.fits") as hdus:
        hdus.verify("exception")
        assert hdus[1].columns["clean"].format == "L"
        assert hdus[1].columns["id"].format == "10A"
        assert len(hdus[1].data) == 101

    said = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert votable.validate(tmp_path / "c.vot", output=said), said.getvalue()


NAMES = ["NGC 4567 é", "NGC 4567 è", "NGC 4567 ?", r"NGC 4567 \u00e9", r"\\é", "日本", "🌌\tx", ""]
IN_FITS = [r"NGC 4567 \u00e9", r"NGC 4567 \u00e8", "NGC 4567 ?", r"NGC 4567 \u005cu00e9"]
IN_FITS += [r"\\\u00e9", r"\u65e5\u672c", r"\U0001f30c\u0009x", ""]


def unescaped(word: str) -> str:
    found = r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8}))"
    return re.sub(found, lambda m: chr(int(m[1] or m[2], 16)), word)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_text(suffix, tmp_path):
    r"""Different names stay different, whatever alphabet they are in."""

    parts = [tmp_path / f"part{i}.parquet" for i in range(3)]
    for path, names in zip(parts, (["M 51", None], NAMES, ["M 104"]), strict=True):
        pq.write_table(pa.table({"id": names, "p_é": ["plain"] * len(names)}), path)
    path = tmp_path / f"catalogue{suffix}"
    columns = [Column("id"), Column("p_é", "", "Café")]
    concatenate(parts, path, columns, {"survey": "é"})
    table = read_table(path)

    if suffix == ".fits":
        assert table["id"].tolist() == ["M 51", "", *IN_FITS, "M 104"]
        assert table.colnames == ["id", r"p_\u00e9"]
        assert table[r"p_\u00e9"].description == r"Caf\u00e9"
        assert [unescaped(word) for word in IN_FITS] == NAMES
        assert table.meta["survey"] == r"\u00e9"
    else:
        assert table["id"].tolist() == ["M 51", "", *NAMES, "M 104"]
        assert table.colnames == ["id", "p_é"]
        assert table["p_é"].description == "Café"
        assert table.meta["survey"] == "é"


def test_memory_is_constant(tmp_path):
    peaks = []
    for count in (1, 5):
        paths = [tmp_path / f"{i}.parquet" for i in range(count)]
        for path in paths:
            pq.write_table(part(0, 100).select([0, 1, 5]).take(np.arange(20_000) % 100), path)
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        for suffix in (".fits", ".vot", ".csv"):
            concatenate(paths, tmp_path / f"c{suffix}", COLUMNS[:2], {})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert pa.total_allocated_bytes() - before < 1e6

    assert peaks[1] < 1.2 * peaks[0]


def test_refusals(parts, tmp_path):
    path = tmp_path / "c.fits"
    with pytest.raises(ConfigError, match=r"ends in '.fit', did you mean '.fits'"):
        concatenate(parts, tmp_path / "c.fit", COLUMNS, {})
    with pytest.raises(DataError, match=r"part0.parquet has no column 'reasons', did you mean"):
        concatenate(parts, path, [Column("reasons")], {})
    with pytest.raises(DataError, match="would have no parts"):
        concatenate([], path, COLUMNS, {})

    pq.write_table(part(0, 9).set_column(1, "ra", pa.array([""] * 9)), parts[1])
    with pytest.raises(
        DataError, match=r"part1.parquet has column 'ra' of type string, expected double"
    ):
        concatenate(parts, path, COLUMNS, {})
    parts[1].write_bytes(parts[0].read_bytes()[:999])
    with pytest.raises(DataError, match=r"part1.parquet is not a part"):
        concatenate(parts, path, COLUMNS, {})
    assert not path.exists()


def test_parts_of_another_plan(tmp_path, caplog):
    r"""They are used again by the same plan, and deleted by another one, which says so."""

    def broken():
        yield part(0, 3)
        raise DataError("the disk went away")

    to, columns = tmp_path / "c.csv", COLUMNS[:2]
    for _ in range(2):
        with pytest.raises(DataError, match="went away"), in_parts(to, columns, {}, 9) as parts:
            parts.add(broken())
    assert parts.done == 1 and not caplog.text

    with in_parts(to, columns, {"gain": 2.0}, 1) as parts:
        parts.add(iter([part(5, 7)]))
        parts.finish({"software": "tuningfork 1"})
    assert "c.csv.parts: parts of other inputs or settings, 2, are deleted" in caplog.text
    assert read_table(to)["id"].tolist() == ["000005", "000006"]

    with pytest.raises(DataError, match="at once"), in_parts(to, columns, {}, 9):
        raise DataError("at once")
    assert [path.name for path in tmp_path.iterdir()] == ["c.csv"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_write_table(suffix, tmp_path):
    table = Table({"name": ["a", "bc"], "x": np.array([1.5, np.nan], ">f8"), "n": [3, 4]})
    table["b"] = np.array([b"x", b""])
    table["n"] = MaskedColumn([3, 4], mask=[True, False], unit="pix")
    table.meta["origin"] = "here"
    write_table(table, tmp_path / f"t{suffix}")

    found = read_table(tmp_path / f"t{suffix}")
    assert found.colnames == table.colnames
    assert found["name"].tolist() == ["a", "bc"]
    assert found["b"].tolist() == ["x", ""]
    assert found["n"].tolist() == [None, 4]
    assert np.array_equal(found["x"], [1.5, np.nan], equal_nan=True)
    assert found.meta["origin"] == "here"
    assert str(found["n"].unit) == "pix"


def test_foreign_csv(tmp_path):
    text = "\ufeffid; ra ;n;flag;mag\r\n007;1.5;1;true;NA\r\n'8';;;false;\r\n"
    for path, data in [("a.csv", text.encode()), ("b.csv.gz", gzip.compress(text.encode()))]:
        (tmp_path / path).write_bytes(data)
        table = read_table(tmp_path / path)
        assert table["id"].tolist() == ["007", "'8'"]
        assert np.array_equal(table["ra"], [1.5, np.nan], equal_nan=True)
        assert table["n"].tolist() == [1, None]
        assert table["flag"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["12.10", "12.1", "NA"], ["12.10", "12.1", ""]),
        (["1e5", "100000"], ["1e5", "100000"]),
        (["9223372036854775808", "1"], ["9223372036854775808", "1"]),
        (["true", "False"], ["true", "False"]),
        (["nan", "m31"], ["nan", "m31"]),
        (["12.0", "", "7.0"], [12.0, np.nan, 7.0]),
        (["5.87722952767439e+17"], [5.87722952767439e17]),
    ],
)
def test_told_texts(written, read, tmp_path):
    r"""Texts stay as they are, unless they are integers that went through real numbers."""

    (tmp_path / "t.csv").write_text("\n".join(["x, id", *(f"1.0,{one}" for one in written)]))
    table = read_table(tmp_path / "t.csv", ["id"])

    assert np.array_equal(table["id"], read, equal_nan=isinstance(read[0], float))
    assert table["x"].dtype == np.float64


def test_real_tables(shared_data):
    ngc = read_table(shared_data / "fields" / "OpenNGC_NGC.csv.gz")
    assert len(ngc) == 13969
    assert set(ngc["Hubble"][ngc["Name"] == "NGC6978"]) <= {"Sb", "SBb", "Sbc"}
    votes = read_table(shared_data / "gz2_votes" / "table5.csv.gz")
    assert (len(votes), len(votes.colnames)) == (19761, 228)
    labels = read_table(shared_data / "gz1_sdss" / "labels.csv")
    assert labels["objid"].dtype == np.int64
    sdss = shared_data / "fields" / "sdss_subframe_1000_1_100" / "photoObj-001000-1-0100.fits"
    assert len(read_table(sdss)) == 19


@pytest.mark.parametrize("suffix", SUFFIXES + [".csv.gz", ".fits.gz"])
@pytest.mark.parametrize("data", [b"", b"\x00\xff" * 99, b'a,b\n1,2,3\n"'])
def test_damaged_tables(suffix, data, tmp_path):
    (tmp_path / f"t{suffix}").write_bytes(data)

    with pytest.raises(DataError, match=rf"t{suffix}"):
        read_table(tmp_path / f"t{suffix}")


@pytest.mark.parametrize("names", [["id", "id", "ra"], ["ra", "id", " id "], ["", "x", "x", "x"]])
def test_two_columns_of_one_name(tmp_path, names):
    csv, parquet = tmp_path / "t.csv", tmp_path / "t.parquet"
    csv.write_text(f"{','.join(names)}\n{','.join('a' for _ in names)}\n")
    pq.write_table(pa.table([["a"]] * len(names), [name.strip() for name in names]), parquet)

    for path in (csv, parquet):
        name, count = (names[1], len(names) - 1) if names[0] == "" else ("id", 2)
        with pytest.raises(DataError, match=rf"{path.name} .*: it has {count} columns '{name}'"):
            read_table(path)


@pytest.mark.parametrize("text", ["id,,\n7,,\n", ", id\n0,7\n"])
def test_columns_without_a_name(tmp_path, text):
    r"""Spreadsheets add some at the end, and pandas one at the beginning."""

    (tmp_path / "t.csv").write_text(text)
    table = read_table(tmp_path / "t.csv")
    assert table.colnames == ["id"] and table["id"].tolist() == [7]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("text", "line"), [("# é\nid,k\na,b\nc,Café\n", 4), ("id,é\na,b\n", 1), ("", 0)]
)
def test_text_that_is_not_utf_8(tmp_path, pack, text, line):
    path = tmp_path / "t.csv"
    path.write_bytes(pack((text or "# é\nid,k\na,b\n").encode("latin-1")))
    if line:
        with pytest.raises(DataError, match=rf"t\.csv .*: line {line} is not UTF-8.* as UTF-8$"):
            read_table(path)
    else:
        assert read_table(path).colnames == ["id", "k"]
    path.write_bytes(pack((text or "id\n").encode()))
    assert len(read_table(path)) == max(text.count("\n") - 1 - text.count("#"), 0)


def test_unknown_tables(tmp_path):
    with pytest.raises(
        DataError, match=r"t.cvs is of no known kind of table, did you mean '.csv'"
    ):
        read_table(tmp_path / "t.cvs")
    with pytest.raises(DataError, match=r"t.csv cannot be read: No such file"):
        read_table(tmp_path / "t.csv")


def test_match_positions():
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 300), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))
    ra[:3], dec[:3] = [359.9999, 0.0, 120.0], [0.0, 90.0, np.nan]
    order = rng.permutation(300)[:200]
    order = order[~np.isin(order, [0, 1, 2])]
    ra_ref = np.concatenate([[0.0001, 77.0, np.nan], ra[order]])
    dec_ref = np.concatenate([[0.0, 89.9999, 0.0], dec[order]])
    index, separation = match_positions(ra, dec, ra_ref, dec_ref, 2.0)

    assert index.dtype == np.int64
    assert index[:3].tolist() == [0, 1, -1]
    assert separation[:2] == pytest.approx([0.72, 0.36])
    assert np.isnan(separation[index < 0]).all()
    expected = np.full(300, -1)
    expected[order] = np.arange(len(order)) + 3
    assert index[3:].tolist() == expected[3:].tolist()

    found = index >= 0
    here = SkyCoord(ra[found], dec[found], unit="deg")
    there = SkyCoord(ra_ref[index[found]], dec_ref[index[found]], unit="deg")
    assert np.allclose(here.separation(there).arcsec, separation[found], atol=1e-6)

    assert match_positions([], [], [1.0], [2.0], 1.0)[0].shape == (0,)
    assert match_positions([1.0], [2.0], [], [], 1.0)[0].tolist() == [-1]

import errno
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from pipeline import headers
from pipeline.catalogue import write_table
from pipeline.errors import ConfigError, DataError
from pipeline.fits import FitsFile, Frame, write_extensions, write_image
from pipeline.objects import Columns
from pipeline.sources import find

LONG = "587722952767439450"
SIP = {
    "CTYPE1": "RA---TAN-SIP",
    "CTYPE2": "DEC--TAN-SIP",
    "A_ORDER": 2,
    "B_ORDER": 3,
    "A_2_0": 4e-4,
    "A_0_2": -2e-4,
    "B_1_1": 3e-4,
    "B_0_3": -1e-6,
}


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def image(path, ra, dec, shape=(20, 30), scale=1.0):
    image_file(path, cards(ra, dec, shape, scale), shape)


def image_file(path, header, shape=(61, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.zeros(shape, np.float32), header)


def cards(ra, dec, shape=(20, 30), scale=1.0):
    axes = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec}
    axes |= {"CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2}
    return axes | {"CDELT1": -scale / 3600, "CDELT2": scale / 3600}


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("cutouts/{id}.acs.{band}_6ac_.fits", "cutouts/{}.acs.{}_6ac_.fits"),
        ("{id}/*_{band}.fits", "{}/fc_12.3-4_dss_{}.fits"),
        ("{band}/{id}/{id}_{band}.fits.gz", "{1}/{0}/{0}_{1}.fits.gz"),
        ("tile?/{id}-{band}*", "tile7/{}-{}.fits.fz"),
    ],
)
def test_patterns(tmp_path, pattern, name):
    for band in ("dss2blue", "r"):
        touch(tmp_path, name.format("N 4192", band), name.format(LONG, band))
    touch(tmp_path, "README", "cutouts/x.acs.k_6ac_.fits", ".hidden/x_r.fits")
    found = find(tmp_path, pattern, ["b", "r"], band_text={"b": "dss2blue"})

    assert [source.id for source in found] == [LONG, "N 4192"]
    for source in found:
        names = [name.format(source.id, band) for band in ("dss2blue", "r")]
        assert [str(path.relative_to(tmp_path)) for path in source.files] == names
        assert not source.problem and not source.flags


def test_joined_by_id(tmp_path):
    touch(tmp_path, f"{LONG}_g.fits", f"{LONG}_r.fits", "b_g.fits", "c_g.fits", "c_r.fits")
    touch(tmp_path, "e_g.fits", "e_r.fits", "f_g.fits", "f_r.fits", "g_g.fits", "g_r.fits")
    (tmp_path / "labels.csv").write_text(
        "objid,ra,dec,kind,r50\n"
        f"{LONG},12:30:00.0,-01:30:00,S,3.5\n"
        "b,10,20,elliptical,\n d ,,,elliptical,-1\ne,0,0,sprial,1\nf,370,91,,2\n"
        "e,0,0,elliptical,1\n,0,0,S,1\n"
        "g,12:70:00,1,S,1\nh,12d30m00s,-01°30'00\",S,1\n"
    )
    columns = Columns(
        tmp_path / "labels.csv",
        id="objid",
        ra="ra",
        dec="dec",
        size="r50",
        label="kind",
        classes=("spiral", "elliptical"),
        rename={"S": "spiral"},
    )
    found = {s.id: s for s in find(tmp_path, "{id}_{band}.fits", ["g", "r"], table=columns)}

    good = found[LONG]
    assert (good.label, good.size_arcsec, good.problem, good.flags) == ("spiral", 3.5, "", ())
    assert good.ra == pytest.approx(187.5) and good.dec == pytest.approx(-1.5)
    assert math.isnan(found["g"].ra)
    assert found["h"].ra == pytest.approx(12.5) and found["h"].dec == pytest.approx(-1.5)
    assert f"there is no file of r beside {tmp_path}/b_g.fits" in found["b"].problem
    assert found["c"].flags == ("not_in_table",) and "has no row of 'c'" in found["c"].reason
    assert f"no file matches {tmp_path}/d_{{band}}.fits" in found["d"].problem
    assert math.isnan(found["d"].size_arcsec) and math.isnan(found["d"].ra)
    assert found["e"].flags == ("unknown_label",) and not found["e"].label
    assert "unknown label 'sprial', did you mean 'spiral'?" in found["e"].reason
    assert math.isnan(found["f"].ra) and not found["f"].label and not found["f"].flags
    assert (
        "duplicate id: row 6" in found["e~2"].problem and "row 4 is used" in found["e~2"].problem
    )
    assert "has no identifier" in found[f"row 7 of {tmp_path}/labels.csv"].problem
    assert len(found) == 10


def test_units_of_a_table(tmp_path):
    touch(tmp_path, "1.fits")
    columns = Columns(tmp_path / "t.ecsv", ra="ra", dec="dec", size="size")
    made = Table({"id": ["1"], "ra": [12.5] * u.hour, "dec": [-90] * u.arcmin})
    made["size"] = [0.5] * u.arcmin
    made.write(columns.path)
    (found,) = find(tmp_path, "{id}.fits", ["r"], table=columns)
    np.testing.assert_allclose((found.ra, found.dec, found.size_arcsec), (187.5, -1.5, 30))

    made["size"] = [10] * u.kpc
    made.write(columns.path, overwrite=True)
    with pytest.raises(ConfigError, match=r"t\.ecsv: column 'size' is in kpc, expected arcsec"):
        find(tmp_path, "{id}.fits", ["r"], table=columns)


def test_text_is_no_angle(tmp_path):
    touch(tmp_path, "1.fits")
    columns = Columns(tmp_path / "t.csv", id="id", ra="ra", dec="dec")
    columns.path.write_text("id,ra,dec\n1,ring,2.5\n2,,3.5\n")
    with pytest.raises(ConfigError, match=r"t\.csv: column 'ra' holds 'ring', expected deg"):
        find(tmp_path, "{id}.fits", ["r"], table=columns)


def test_two_files_of_one_id(tmp_path):
    touch(tmp_path, "a/x.fits", "b/x.fits", "b/x~2.fits")
    found = {s.id: s for s in find(tmp_path, "*/{id}.fits", ["r"])}

    assert found["x"].files == (tmp_path / "a/x.fits",) and not found["x"].problem
    assert found["x~2"].files == (tmp_path / "b/x~2.fits",) and not found["x~2"].problem
    assert found["x~3"].files == (tmp_path / "b/x.fits",)
    assert f"duplicate id: {tmp_path}/b/x.fits" in found["x~3"].problem


def test_threshold(tmp_path):
    touch(tmp_path, "1.fits", "2.fits", "3.fits", "4.fits")
    (tmp_path / "t.csv").write_text("id,p\n1,0.49\n2,0.5\n3,\n4,lots\n")
    columns = Columns(tmp_path / "t.csv", label="p", classes=("smooth", "featured"), threshold=0.5)
    found = find(tmp_path, "{id}.fits", ["r"], table=columns)

    assert [source.label for source in found] == ["smooth", "featured", "", ""]
    assert [source.flags for source in found] == [(), (), (), ("unknown_label",)]
    assert "unknown label 'lots', expected a number" in found[3].reason


@pytest.mark.parametrize("suffix", [".csv", ".fits", ".parquet", ".vot"])
@pytest.mark.parametrize(
    ("column", "options", "labels"),
    [
        ([1.0, 2.0, math.nan], {"classes": ("1", "2")}, ["1", "2", ""]),
        ([1.0, 2.0, math.nan], {"classes": ("S", "E"), "rename": {"1": "S", "2": "E"}}, "SE "),
        ([1.0, 2.0, math.nan], {"classes": ("1.0", "2.0")}, ["1.0", "2.0", ""]),
        ([1.0, 2.0, math.nan], {}, ["1", "2", ""]),
        ([1.0, 2.5, math.nan], {}, ["1.0", "2.5", ""]),
        (["1.0", "v2", ""], {}, ["1.0", "v2", ""]),
    ],
)
def test_labels_that_are_whole(tmp_path, suffix, column, options, labels):
    r"""One blank makes real numbers of the integers of a column. Texts stay as they are."""

    touch(tmp_path, "i/a.fits", "i/b.fits", "i/c.fits")
    path = tmp_path / f"t{suffix}"
    write_table(Table({"id": ["a", "b", "c"], "k": column}), path)
    found = find(tmp_path, "i/{id}.fits", ["r"], table=Columns(path, label="k", **options))

    assert [source.label for source in found] == [label.strip() for label in labels]
    assert not any(source.flags for source in found)


def test_names_of_a_votable_are_not_its_identifiers(tmp_path):
    touch(tmp_path, "i/a.fits")
    path = tmp_path / "t.vot"
    write_table(Table({"name of object": ["a"], "k": ["E"]}), path)
    path.write_text(path.read_text().replace('name="name of', 'ID="col1" name="name of'))
    columns = Columns(path, id="name of object", label="k")

    assert 'ID="col1"' in path.read_text()
    assert find(tmp_path, "i/{id}.fits", ["r"], table=columns)[0].label == "E"


def test_joined_by_position(tmp_path):
    image(tmp_path / "x.fits", 359.99999, 10.0)
    image(tmp_path / "y.fits", 30.0, -45.0)
    touch(tmp_path, "z.fits")
    (tmp_path / "t.csv").write_text("id,ra,dec,k\n7,0.0001,10.0001,S\n8,30.01,-45,E\n")
    columns = Columns(tmp_path / "t.csv", ra="ra", dec="dec", label="k")
    found = {s.id: s for s in find(tmp_path, "{id}.fits", ["r"], table=columns, match_arcsec=2.0)}

    assert found["x"].label == "S" and found["x"].ra == 0.0001
    assert found["y"].flags == ("not_in_table",) and "within 2 arcsec" in found["y"].reason
    assert found["z"].flags == ("not_in_table",) and "no sky coordinates" in found["z"].reason
    assert "no image: no centre within 2 arcsec" in found["8"].problem
    assert "7" not in found

    bare = replace(columns, id=None)
    rows = find(tmp_path, "{id}.fits", ["r"], table=bare, match_arcsec=2.0)
    assert [source.id for source in rows] == ["row 2", "x", "y", "z"]


@pytest.mark.parametrize("hdu", [None, "SCI_{band}"])
def test_position_of_many_bands(tmp_path, hdu):
    planes = np.zeros((2, 20, 30), np.float32)
    if hdu:
        names = {"SCI_r": planes[1], "SCI_g": planes[0]}
        write_extensions(tmp_path / "x.fits", names, cards(10, 20))
    else:
        write_image(tmp_path / "x.fits", planes, cards(10, 20))
    (tmp_path / "t.csv").write_text("id,ra,dec\n7,10,20\n")
    columns = Columns(tmp_path / "t.csv", ra="ra", dec="dec")
    options = {"table": columns, "hdu": hdu}

    (one,) = find(tmp_path, "{id}.fits", ["g", "r"], match_arcsec=2.0, **options)
    assert (one.id, one.ra, one.flags) == ("x", 10, ())
    (one,) = find(tmp_path, "*.fits", ["g", "r"], **options)
    assert (one.id, one.files, one.field) == ("7", (tmp_path / "x.fits",), True)


def test_coordinates_are_read_once(tmp_path, monkeypatch):
    image(tmp_path / "x.fits", 10.0, 10.0)
    image(tmp_path / "y.fits", 30.0, -45.0)
    (tmp_path / "t.csv").write_text("id,ra,dec\n7,10,10\n")
    columns = Columns(tmp_path / "t.csv", ra="ra", dec="dec")
    options = {"table": columns, "match_arcsec": 2.0, "memory": tmp_path / "memory.json"}
    read, once = [], FitsFile.open
    monkeypatch.setattr(FitsFile, "open", lambda path: read.append(path.name) or once(path))

    first = find(tmp_path, "{id}.fits", ["r"], **options)
    assert find(tmp_path, "{id}.fits", ["r"], **options) == first
    assert read == ["x.fits", "y.fits"]
    image(tmp_path / "y.fits", 10.0, 10.0, scale=2.0)
    assert not any(source.flags for source in find(tmp_path, "{id}.fits", ["r"], **options))
    assert read[2:] == ["y.fits"]


@pytest.mark.parametrize("pattern", ["{id}.fits", "*.fits"])
def test_coordinates_are_read_by_workers(tmp_path, monkeypatch, pattern):
    r"""They find the same as one process, which then need not read an image."""

    for i in range(40):
        image(tmp_path / f"{i:02d}.fits", 10.0 + i, -30.0 + i)
    (tmp_path / "07.fits").write_bytes((tmp_path / "07.fits").read_bytes()[:3000])
    touch(tmp_path, "08.fits")
    rows = [f"t{i},{10 + i},{-30 + i}" for i in range(0, 40, 3)]
    (tmp_path / "t.csv").write_text("\n".join(["id,ra,dec", *rows]))
    columns = Columns(tmp_path / "t.csv", ra="ra", dec="dec")
    options = {"table": columns} | ({"match_arcsec": 2.0} if "{id}" in pattern else {})
    alone = find(tmp_path, pattern, ["r"], memory=tmp_path / "alone.json", **options)
    assert sum(not source.problem and not source.flags for source in alone) == 14

    def refuse(*_):
        raise AssertionError("read in this process")

    monkeypatch.setattr(FitsFile, "open", refuse)
    shared = find(tmp_path, pattern, ["r"], memory=tmp_path / "m.json", workers=2, **options)
    assert shared == alone
    assert (tmp_path / "m.json").read_bytes() == (tmp_path / "alone.json").read_bytes()

    # The centres are remembered, which take longer to work out than the files to read
    if pattern == "{id}.fits":
        monkeypatch.setattr(Frame, "sky", refuse)
    assert find(tmp_path, pattern, ["r"], memory=tmp_path / "m.json", **options) == alone


def test_a_disk_that_fails_for_a_while_is_not_remembered(tmp_path, monkeypatch):
    image(tmp_path / "x.fits", 10.0, 10.0)
    (tmp_path / "t.csv").write_text("id,ra,dec\n7,10,10\n")
    columns = Columns(tmp_path / "t.csv", ra="ra", dec="dec")
    options = {"table": columns, "memory": tmp_path / "memory.json"}

    def fail(path):
        raise DataError(f"{path} cannot be read") from OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(FitsFile, "open", fail)
        for _ in range(2):
            seven, frame = find(tmp_path, "*.fits", ["r"], **options)
            assert frame.problem == f"{tmp_path}/x.fits cannot be read"
            assert "none of 1 covers" in seven.problem
    (seven,) = find(tmp_path, "*.fits", ["r"], **options)
    assert not seven.problem and seven.files


HEAD = json.dumps({"columns": headers.FIELD, "hdu": None, "planes": 1}) + "\n"


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"x": [1, 2]}', "\xff", HEAD + "[", HEAD + "7", HEAD + '["x", 1]']
)
def test_damaged_memory(tmp_path, caplog, text):
    image(tmp_path / "x.fits", 10.0, 10.0)
    (tmp_path / "t.csv").write_text("id,ra,dec\n7,10,10\n")
    (tmp_path / "memory.json").write_bytes(text.encode("latin-1"))
    columns = Columns(tmp_path / "t.csv", ra="ra", dec="dec")
    options = {"table": columns, "memory": tmp_path / "memory.json"}

    for _ in range(2):
        (one,) = find(tmp_path, "*.fits", ["r"], **options)
        assert (one.id, one.problem) == ("7", "")
    assert caplog.text.count("memory.json is damaged or of another version, all headers are") == 1


@pytest.mark.parametrize("pattern", ["{id}.fits", "*.fits"])
def test_memory_is_small(tmp_path, pattern):
    r"""Of a stamp its place is kept, of a frame the cards of the sky, whatever else it has."""

    long = {f"PLATE{i}": f"A card of the plate, number {i}, of a scan" for i in range(200)}
    for i in range(10):
        image_file(tmp_path / f"{i}.fits", cards(10.0 + i, 20.0) | SIP | long)
    (tmp_path / "t.csv").write_text(
        "\n".join(["id,ra,dec", *[f"t{i},{10 + i},20" for i in range(9)]])
    )
    options = {"table": Columns(tmp_path / "t.csv", ra="ra", dec="dec")}
    options |= {"match_arcsec": 2000.0} if "{id}" in pattern else {}
    memory = tmp_path / "memory.json"
    plain = find(tmp_path, pattern, ["r"], **options)
    for _ in range(2):
        assert find(tmp_path, pattern, ["r"], memory=memory, **options) == plain

    assert sum(not source.problem and not source.flags for source in plain) == 9
    of_paths = sum(len(str(path)) for path in tmp_path.glob("*.fits"))
    assert memory.stat().st_size - of_paths < 10 * (100 if "{id}" in pattern else 500)


def test_memory_of_another_kind(tmp_path, caplog, monkeypatch):
    r"""Stamps and frames, another extension and what an earlier version wrote are read anew."""

    image(tmp_path / "x.fits", 10.0, 10.0)
    (tmp_path / "t.csv").write_text("id,ra,dec\n7,10,10\n")
    memory, path = tmp_path / "memory.json", tmp_path / "x.fits"
    stat = path.stat()
    elsewhere = cards(50.0, 50.0) | {"COMMENT": "x" * 2000}
    entry = [stat.st_size, stat.st_mtime_ns, [20, 30], elsewhere, 50.0, 50.0, ""]
    memory.write_text(json.dumps({f"{path}[None][1]": entry}))
    options = {"table": Columns(tmp_path / "t.csv", ra="ra", dec="dec"), "memory": memory}
    read, once = [], FitsFile.open
    monkeypatch.setattr(FitsFile, "open", lambda path: read.append(path.name) or once(path))

    for i, (pattern, more) in enumerate(
        [
            ("*.fits", {}),
            ("{id}.fits", {"match_arcsec": 2.0}),
            ("{id}.fits", {"match_arcsec": 2.0, "hdu": 0}),
            ("*.fits", {"hdu": 0}),
        ]
    ):
        for _ in range(2):
            (one,) = find(tmp_path, pattern, ["r"], **options, **more)
            assert not one.problem and not one.flags and one.files == (path,)
        assert len(read) == i + 1
    assert caplog.text.count("of another version") == 1


def test_fields(tmp_path):
    for band, shape in {"g": (40, 60), "r": (50, 60)}.items():
        image(tmp_path / f"frames/one_{band}.fits", 10.0, 0.0, shape)
        image(tmp_path / f"frames/two_{band}.fits", 10.0 + 40 / 3600, 0.0, shape)
        image(tmp_path / f"frames/void_{band}.fits", 50.0, 0.0, shape)
    (tmp_path / "t.csv").write_text(
        "id,ra,dec\nleft,9.999,0.005\nright,10.0113,0\nmiddle,10.0054,0\nmiss,10,0.006\nno,,1\n"
    )
    columns = Columns(tmp_path / "t.csv", ra="ra", dec="dec")
    found = find(tmp_path, "frames/*_{band}.fits", ["g", "r"], table=columns)
    files = {s.id: [path.name for path in s.files] for s in found}
    bare = find(tmp_path, "frames/*_{band}.fits", ["g", "r"], table=replace(columns, id=None))
    assert {s.id: len(s.files) for s in bare if s.files}.keys() >= {"row 1", "row 2", "row 3"}

    assert files["left"] == files["middle"] == ["one_g.fits", "one_r.fits"]
    assert files["right"] == ["two_g.fits", "two_r.fits"]
    assert all(source.field for source in found)
    problems, root = {s.id: s.problem for s in found if s.problem}, tmp_path / "frames"
    assert problems == {
        "frames/void_g.fits": f"no galaxy: no position of the table is in {root}/void_g.fits",
        "miss": "no image: none of 3 covers RA 10.00000, Dec 0.00600",
        "no": "position missing: the table has none on the sky for it",
    }


def test_fields_that_cannot_be_used(tmp_path):
    r"""Each has a row that says why, and gives way to one that covers the same galaxy."""

    image(tmp_path / "f/cut_g.fits", 10.0, 0.0)
    image(tmp_path / "f/cut_r.fits", 10.0, 0.0)
    (tmp_path / "f/cut_g.fits").write_bytes((tmp_path / "f/cut_g.fits").read_bytes()[:3000])
    write_image(tmp_path / "f/lost_g.fits", np.zeros((20, 30), np.float32), {})
    touch(tmp_path, "f/lost_r.fits", "f/gone_r.fits")
    (tmp_path / "f/gone_g.fits").symlink_to(tmp_path / "nowhere")
    image(tmp_path / "f/single_g.fits", 20.0, 0.0)
    image(tmp_path / "f/whole_g.fits", 20.0 + 10 / 3600, 0.0)
    image(tmp_path / "f/whole_r.fits", 20.0 + 10 / 3600, 0.0)
    (tmp_path / "t.csv").write_text("id,ra,dec\na,10,0\nb,20,0\nc,19.997,0\n")
    columns = Columns(tmp_path / "t.csv", ra="ra", dec="dec")
    found = {s.id: s for s in find(tmp_path, "f/*_{band}.fits", ["g", "r"], table=columns)}

    frames = {"f/cut_g.fits", "f/lost_g.fits", "f/gone_g.fits", "f/single_g.fits"}
    assert found.keys() == {"a", "b", "c"} | frames
    assert "cut_g.fits[0] is truncated" in found["f/cut_g.fits"].problem
    assert "lost_g.fits has no sky coordinates" in found["f/lost_g.fits"].problem
    assert "gone_g.fits cannot be read" in found["f/gone_g.fits"].problem
    assert found["a"].problem.endswith(
        "none of 5 covers RA 10.00000, Dec 0.00000; 4 of them cannot be used"
    )
    assert found["b"].files[0].name == "whole_g.fits" and not found["b"].problem
    lacking = "wrong number of bands: there is no file of r beside"
    assert found["c"].problem.startswith(lacking) and "single_g.fits" in found["c"].problem
    assert found["f/single_g.fits"].problem == found["c"].problem


SKIES = {
    "around RA 0": cards(0.003, -12.0, (61, 80), 2.0),
    "turned": cards(83.0, 41.0, (61, 80)) | {"CROTA2": 33.0},
    "distorted": cards(210.0, 54.0, (61, 80), 3.0) | SIP,
    "another distorted": cards(120.0, -5.0, (61, 80), 3.0) | SIP | {"CRPIX1": 400.0},
    "pole": cards(77.0, 89.995, (61, 80), 2.0),
    "south pole at an edge": cards(77.0, -90.0, (61, 80), 2.0) | {"CRPIX2": 3.0},
    "galactic": cards(120.0, 2.0, (61, 80)) | {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR"},
    "latitude first": cards(30.0, 20.0, (61, 80))
    | {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 20.0, "CRVAL2": 30.0},
    "of FK5": cards(200.0, 10.0, (61, 80), 2.0) | {"RADESYS": "FK5", "EQUINOX": 1950.0},
    "beside": cards(0.02, -12.0, (61, 80), 2.0),
}
WIDE = {
    "wide": cards(150.0, 30.0, (61, 80), 7200.0),
    "whole sky": cards(0.0, 0.0, (61, 80), 4.5 * 3600)
    | {"CTYPE1": "RA---AIT", "CTYPE2": "DEC--AIT"},
    "scale untold": {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 40.0},
}


def positions(frame, random):
    r"""Draws places in, at the edges of and around a frame, and all over the sky."""

    height, width = frame.pixels.shape
    x, y = random.uniform(-0.4, 1.4, (2, 80)) * [[width], [height]]
    x[:20], y[20:40] = -0.5 + np.tile([-1e-3, 1e-3], 10), height - 0.5
    ra, dec = np.concatenate(
        [frame.sky(x, y), random.uniform([[0], [-90]], [[360], [90]], (2, 20))], 1
    )
    known = np.isfinite(ra)

    return np.round(ra[known], 7).tolist(), np.round(dec[known], 7).tolist()


def nearest(frames, ra, dec):
    r"""Returns the frame in whose middle each position is, of those that have it, or none."""

    away = []
    for frame in frames:
        (x, y), (height, width) = frame.pixel(ra, dec), frame.pixels.shape
        off = np.maximum(abs(x - (width - 1) / 2) / width, abs(y - (height - 1) / 2) / height)
        away.append(np.where(off <= 0.5, off, np.inf))

    return np.where(np.isfinite(np.min(away, 0)), np.argmin(away, 0), -1)


@pytest.mark.parametrize("skies", [SKIES, SKIES | WIDE], ids=["narrow", "and wide"])
def test_only_what_is_near_is_projected(tmp_path, monkeypatch, skies):
    r"""A frame has those galaxies that projecting all of them finds in it."""

    random, places, frames = np.random.default_rng(5), [("nowhere", math.nan, math.nan)], []
    for name, header in sorted(skies.items()):
        image_file(tmp_path / f"f/{name}.fits", header)
        frames.append(FitsFile.open(tmp_path / f"f/{name}.fits").frames()[0])
        for i, place in enumerate(zip(*positions(frames[-1], random), strict=True)):
            places.append((f"{name} {i}", *place))
    image_file(tmp_path / "f/lost.fits", {})
    rows = [",".join(map(str, row)) for row in places]
    (tmp_path / "t.csv").write_text("\n".join(["id,ra,dec", *rows]))
    columns = Columns(tmp_path / "t.csv", ra="ra", dec="dec")
    names, *where = zip(*places, strict=True)
    expected = dict(zip(names, nearest(frames, *map(np.array, where)).tolist(), strict=True))
    projected, once = [], Frame.pixel
    monkeypatch.setattr(
        Frame, "pixel", lambda self, ra, dec: projected.append(len(ra)) or once(self, ra, dec)
    )

    found = {source.id: source for source in find(tmp_path, "f/*.fits", ["r"], table=columns)}
    stems = [frame.source.rpartition("/")[2].partition(".")[0] for frame in frames]
    for name, i in expected.items():
        files = (tmp_path / f"f/{stems[i]}.fits",) if i >= 0 else ()
        assert found[name].files == files, name
    wanted = SKIES if skies is SKIES else WIDE
    assert set(expected.values()) >= {stems.index(name) for name in wanted}
    if skies is SKIES:
        assert sum(projected) < 0.2 * len(places) * len(frames)


def test_mistakes(tmp_path):
    touch(tmp_path, "1.fits", "t.csv")
    (tmp_path / "t.csv").write_text("objid,label\n1,a\n")

    with pytest.raises(ConfigError, match=r"pattern has \{ib\}, did you mean '\{id\}'"):
        find(tmp_path, "{ib}.fits", ["r"])
    with pytest.raises(DataError, match=r"matches '\{id\}.fit', which holds 1.fits, t.csv"):
        find(tmp_path, "{id}.fit", ["r"])
    with pytest.raises(DataError, match="cannot list"):
        find(tmp_path / "nowhere", "{id}.fits", ["r"])
    with pytest.raises(ConfigError, match="has no column 'id', expected one of objid, label"):
        find(tmp_path, "{id}.fits", ["r"], table=Columns(tmp_path / "t.csv"))
    with pytest.raises(ConfigError, match="it needs a table with ra, dec"):
        find(tmp_path, "*.fits", ["r"], table=Columns(tmp_path / "t.csv", id="objid"))
    places = Columns(tmp_path / "t.csv", id="objid", ra="label", dec="label")
    with pytest.raises(
        ConfigError, match=r"match_arcsec=2 does nothing with pattern='\*\.fits': .* expected none"
    ):
        find(tmp_path, "*.fits", ["r"], table=places, match_arcsec=2.0)
    with pytest.raises(ConfigError, match="needs two classes"):
        Columns(tmp_path / "t.csv", threshold=0.5)


def test_digits_are_not_lost(tmp_path):
    touch(tmp_path, f"{LONG}.fits", "12.fits")
    (tmp_path / "t.csv").write_text(f"id,label\n{LONG},a\n12,b\n,c\n")
    found = find(tmp_path, "{id}.fits", ["r"], table=Columns(tmp_path / "t.csv", label="label"))
    assert {s.id: s.label for s in found if s.files} == {LONG: "a", "12": "b"}

    (tmp_path / "t.csv").write_text(f"id,label\n{LONG}.0,a\n")
    with pytest.raises(DataError, match="has lost their last digits"):
        find(tmp_path, "{id}.fits", ["r"], table=Columns(tmp_path / "t.csv", label="label"))

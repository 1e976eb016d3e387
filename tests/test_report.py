import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.special import softmax

from pipeline import pictures
from pipeline.evaluation import evaluate, majority_class
from pipeline.report import Report, Table

CLASSES = ("elliptical", "<b>cw</b>", "never")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rng = np.random.default_rng(0)
    labels = rng.choice(2, size=200, p=[0.7, 0.3])
    z = rng.normal(size=(200, 3))
    z[np.arange(200), labels] += 2
    network = softmax(z, axis=1)
    said = {"network": network, "majority class": majority_class(labels, 3, 200)}
    evaluation = evaluate(
        said | {"network + forest": network},
        labels,
        CLASSES,
        ids=[f"<script>{n}" for n in range(200)],
        uncalibrated={"network": softmax(2 * z, axis=1)},
        temperature={"network": 2.0},
        resamples=20,
    )
    x = rng.normal(size=(24, 3, 16, 20)) * 10
    report = Report(
        "A & B",
        evaluation,
        {"tuningfork": "0.1", "git commit": "c0ffee"},
        tables=[Table("Inputs", ["Status", "Inputs"], [["ok", 12345]])],
        counts={"train": {"elliptical": 9}, "test": {"elliptical": 3, "<b>cw</b>": 1}},
        history=[{"train_loss": 1.0, "validation_loss": 2.0}],
        best_epoch=1,
        sample=pictures.contact_sheet(x, [CLASSES[n % 2] for n in range(24)]),
        mistakes=pictures.gallery(x, evaluation.wrong),
        configuration="name: <x>\n",
        command="tuningfork run x.yaml",
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    report.save(path)
    return report, path.read_text(encoding="utf-8")


def test_says_it_all(page):
    report, html = page
    e = report.evaluation
    for number in (e.metrics["network"]["accuracy"].value, e.metrics["network"]["brier"].low):
        assert f"{number:.3f}" in html
    assert f"{e.majority_rate:.1%}" in html and "12,345" in html
    for text in ("A &amp; B", "c0ffee", "name: &lt;x&gt;", "tuningfork run x.yaml", "–"):
        assert text in html
    assert "its interval has no width" in html
    assert "Catalogues hold what the network says alone" in html


def test_is_one_file(page):
    _, html = page
    assert len(html) < 5e6

    # Nothing is loaded: images are inside, links are only links
    assert not re.search(r"""(src|href)=["'](?!data:|#|https://arxiv\.org)""", html)
    assert "@import" not in html and "url(" not in html


def test_is_escaped(page):
    _, html = page
    assert "<script" not in html and "<b>cw" not in html
    assert "&lt;script&gt;" in html and "&lt;b&gt;cw&lt;/b&gt;" in html


def test_is_well_formed(page):
    class Checker(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "img", "br"}:
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    checker = Checker()
    checker.feed(page[1])
    assert checker.open == []

    drawn = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page[1])
    assert len(drawn) == 8
    for svg in drawn:
        ElementTree.fromstring(base64.b64decode(svg))


def test_warns(page):
    r"""A model that is worse than no image at all is not to be used, and the page says so."""

    labels = np.array([0, 0, 0, 1])
    blind = evaluate({"network": np.eye(2)[1 - labels]}, labels, ("a", "b"), resamples=5)
    text = "accuracy 0.000, where always the commonest class gives 0.750; do not use it"
    assert blind.warning == text
    assert f">network: {text}.<" in Report("blind", blind, {}).render()
    assert "do not use it" not in page[1] and page[0].evaluation.warning == ""


def test_bare():
    labels = np.array([0, 1, 1, 0])
    perfect = evaluate({"network": np.eye(2)[labels]}, labels, ("a", "b"), resamples=5)
    html = Report("bare", perfect, {}).render()
    assert "Most surely wrong" not in html and "100.0%" in html
    assert "No mistake: the network calls every test galaxy as it is labelled" in html

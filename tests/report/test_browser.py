"""report.html in a real browser: it is quiet, asks nobody, draws everything, and can be used by everyone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from cifar_lab.analysis.under_way import read_under_way
from cifar_lab.report.build import build_report
from cifar_lab.report.watch import watch_page
from cifar_lab.store.records import Record

from .made_lab import HOSTILE, make_lab

pytestmark = pytest.mark.slow

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
DRAW_ALL = """async () => {
  document.querySelectorAll("main details").forEach((each) => { each.open = true; });
  for (const plot of document.querySelectorAll(".plot")) {
    plot.scrollIntoView();
    for (let k = 0; k < 100 && !("drawn" in plot.dataset); k++) await new Promise((done) => setTimeout(done, 20));
  }
  scrollTo(0, 0);
}"""


@dataclass
class Visit:
    """A page, and what a person must not hear of it."""

    page: Page
    said: list[str] = field(default_factory=list)
    """Console messages, errors, dialogs and requests that leave the file."""

    def wait_until(self, condition: str) -> None:
        """Return when the expression holds; the page's own policy forbids Playwright's way of waiting."""
        for _ in range(200):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"never: {condition}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it these tests are skipped, and in CI they fail."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        missing = "no Chromium; install the packages chromium and, for its letters, any fonts"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, module_record: Callable[..., Record]) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    build_report(make_lab(folder, module_record), folder / "results", figures=())
    return folder / "results" / "report.html"


@pytest.fixture
def visit(browser: Browser, report: Path) -> Callable[..., Any]:
    @contextmanager
    def opened(**options: Any) -> Iterator[Visit]:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        seen = Visit(context.new_page())
        seen.page.on("console", lambda message: seen.said.append(message.text))
        seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
        seen.page.on("dialog", lambda dialog: (seen.said.append(dialog.message), dialog.dismiss()))
        seen.page.on("request", lambda asked: None if asked.url == report.as_uri() else seen.said.append(asked.url))
        seen.page.goto(report.as_uri())
        yield seen
        context.close()

    return opened


def test_every_chart_is_drawn_and_nothing_is_said_or_asked(visit: Callable[..., Any]) -> None:
    with visit() as seen:
        seen.page.evaluate(DRAW_ALL)
        plots = seen.page.locator(".plot").all()
        kinds = {plot.get_attribute("data-chart") for plot in plots}
        assert {"q1-accuracy", "q1-difference", "q1-curves", "q1-classes", "q1-confusion", "q2-parallel"} <= kinds
        assert {"q2-effect0", "q2-effect1"} <= kinds
        for plot in plots:
            marks = plot.evaluate(
                "plot => [...plot.querySelectorAll('svg path, svg circle, svg rect')]"
                ".filter(mark => mark.getBoundingClientRect().width > 2).length"
            )
            assert marks >= 2, plot.get_attribute("data-chart")
            assert len(set(plot.screenshot())) > 100
        assert seen.page.locator("#q1-confusion [aria-label=cell]").first.locator("rect").count() == 100
        assert seen.said == []


def test_hostile_words_are_shown_as_they_are(visit: Callable[..., Any]) -> None:
    with visit() as seen:
        seen.page.evaluate(DRAW_ALL)
        text = seen.page.locator("#q1").inner_text()
        assert HOSTILE[0] in text
        assert HOSTILE[1] in text
        assert "{{7*7}} ${7*7} <b>&lt;" in text
        assert "49" not in seen.page.locator("#q1 h2").inner_text()
        assert "What do {{7*7}} and </script> do?" in text
        assert "\u202e" not in text
        assert "<img src=x onerror=alert(3)>" in text
        assert seen.page.locator("main script, main img").count() == 0
        assert HOSTILE[0] in str(seen.page.locator("#q1-accuracy").text_content())
        assert seen.said == []


def test_nothing_stands_out_to_the_side(visit: Callable[..., Any]) -> None:
    with visit() as seen:
        seen.page.evaluate(DRAW_ALL)
        for width in (360, 390, 768, 1280, 1920):
            seen.page.set_viewport_size({"width": width, "height": 800})
            seen.wait_until(
                "[...document.querySelectorAll('.plot')].every(each => Number(each.dataset.drawn) === each.clientWidth)"
            )
            assert seen.page.evaluate("document.documentElement.scrollWidth") == width


def test_on_a_phone_no_word_of_a_chart_is_cut_and_a_table_keeps_its_names(visit: Callable[..., Any]) -> None:
    with visit(viewport={"width": 390, "height": 800}) as seen:
        seen.page.evaluate(DRAW_ALL)
        cut = seen.page.evaluate(
            """() => [...document.querySelectorAll('.plot')].flatMap(plot => {
              const box = plot.getBoundingClientRect();
              return [...plot.querySelectorAll('svg text')].filter(words => {
                const at = words.getBoundingClientRect();
                return at.right > box.right + 1 || at.left < box.left - 4 || at.top < box.top - 4;
              }).map(words => `${plot.id}: ${words.textContent}`);
            })"""
        )
        assert cut == []
        table = seen.page.locator("#q1 .scroll").first
        name = "part => part.querySelector('tbody th').getBoundingClientRect().left"
        before = table.evaluate(name)
        table.evaluate("part => { part.scrollLeft = 200; }")
        assert table.evaluate("part => part.scrollLeft") == 200
        assert table.evaluate(name) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Callable[..., Any], scheme: str) -> None:
    with visit(color_scheme=scheme, bypass_csp=True) as seen:
        seen.page.evaluate(DRAW_ALL)
        found = Axe().run(seen.page, options={"resultTypes": ["violations"]})
        serious = [
            (each["id"], [node["html"][:120] for node in each["nodes"][:3]])
            for each in found.response["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == []


def test_tables_sort_by_a_click_and_by_keyboard(visit: Callable[..., Any]) -> None:
    with visit() as seen:
        seen.page.evaluate(DRAW_ALL)
        table = seen.page.locator("#q1 table").first
        seconds = "table => [...table.tBodies[0].rows].map(row => Number(row.cells[5].dataset.v))"
        header = table.locator("thead th").nth(5)
        assert table.evaluate(seconds) == [4, 4, 3, 4, 4]
        header.locator("button").click()
        assert table.evaluate(seconds) == [3, 4, 4, 4, 4]
        assert header.get_attribute("aria-sort") == "ascending"
        header.locator("button").focus()
        seen.page.keyboard.press("Enter")
        assert table.evaluate(seconds) == [4, 4, 4, 4, 3]
        assert header.get_attribute("aria-sort") == "descending"
        assert seen.page.locator("#said").inner_text() == "sorted by n, descending"
        difference = table.locator("thead th").filter(has_text="vs control")
        difference.locator("button").click()
        assert "(control)" in table.locator("tbody tr").last.inner_text()  # what has no number comes last


def test_parts_fold(visit: Callable[..., Any]) -> None:
    with visit() as seen:
        curves = seen.page.locator("#q1 details").filter(has=seen.page.locator("#q1-curves"))
        assert not curves.evaluate("part => part.open")
        curves.locator("summary").click()
        seen.page.wait_for_selector("#q1-curves[data-drawn]")
        before = seen.page.locator("#q1-curves").screenshot()
        curves.get_by_label("loss").check()
        assert seen.page.locator("#q1-curves").screenshot() != before
        everything = seen.page.locator("button.fold")
        everything.click()
        assert seen.page.locator("main details:not([open])").count() == 0
        everything.click()
        assert seen.page.locator("main details[open]").count() == 0


def test_marks_tell_their_numbers_by_mouse_and_by_keyboard(visit: Callable[..., Any]) -> None:
    with visit() as seen:
        seen.page.locator("#q1-accuracy").scroll_into_view_if_needed()
        seen.page.wait_for_selector("#q1-accuracy[data-drawn]")
        dot = seen.page.locator("#q1-accuracy [aria-label=dot]").first.locator("circle").first
        dot.hover(force=True)
        tip = "document.querySelector('#q1-accuracy [aria-label=tip]').textContent"
        seen.wait_until(f"{tip}.includes('baseline')")
        seen.page.locator("#q1-difference").focus()
        seen.page.wait_for_selector("#q1-difference[data-drawn]")
        said = "document.getElementById('said').textContent"
        for words in ("▲ +", "seed 0", "seed 1"):
            seen.page.keyboard.press("ArrowRight")
            seen.wait_until(f"{said}.includes({words!r})")
            assert HOSTILE[0] in seen.page.locator("#said").inner_text()
        tip = "document.querySelector('#q1-difference [aria-label=tip]').textContent"
        seen.wait_until(f"{tip}.includes('seed 1')")
        for _ in range(8):  # two seeds, a mean and three seeds, a mean and a seed
            seen.page.keyboard.press("ArrowRight")
        seen.wait_until(f"{said}.includes('%{{x}}, seed 0')")
        seen.page.keyboard.press("Escape")
        seen.wait_until(f"{tip} === ''")
        assert seen.said == []


def test_epochs_have_whole_ticks_and_matrices_have_axis_titles(visit: Callable[..., Any]) -> None:
    texts = "(id, name) => [...document.querySelectorAll(`#${id} [aria-label='${name}'] text`)].map(t => t.textContent)"
    with visit() as seen:
        seen.page.evaluate(DRAW_ALL)
        for width in (360, 1280, 1920):
            seen.page.set_viewport_size({"width": width, "height": 800})
            seen.page.evaluate(DRAW_ALL)
            seen.wait_until("document.querySelector('#q1-curves').dataset.drawn == "
                            "document.querySelector('#q1-curves').clientWidth")  # fmt: skip
            ticks = seen.page.evaluate(f"({texts})('q1-curves', 'x-axis tick label')")
            assert ticks == ["1", "2", "3", "4", "5", "6"]
        labels = seen.page.locator("#q1-confusion svg").text_content() or ""
        assert "predicted class" in labels
        assert "true class" in labels
        ticks = seen.page.evaluate(f"({texts})('q2-effect0', 'x-axis tick label')")
        assert ticks in (["0.001", "0.01", "0.1"], ["false", "true"])


def test_a_confusion_matrix_is_the_arm_s_own_or_its_change(visit: Callable[..., Any]) -> None:
    with visit() as seen:
        seen.page.evaluate(DRAW_ALL)
        cells = "[...document.querySelectorAll('#q1-confusion [aria-label=text] text')].map(t => t.textContent)"
        own = seen.page.evaluate(cells)
        assert all(number.isdigit() for number in own if number)
        part = seen.page.locator("#q1 details").filter(has=seen.page.locator("#q1-confusion"))
        part.get_by_label("change against the control").check()
        assert any(number.startswith("+") for number in seen.page.evaluate(cells))
        part.get_by_label("baseline").check()
        seen.page.get_by_label("this arm").first.check()
        assert seen.page.evaluate(cells) != own


@pytest.mark.parametrize("width", [360, 390])
def test_the_verdict_is_on_the_first_screen_of_a_phone(visit: Callable[..., Any], width: int) -> None:
    with visit(viewport={"width": width, "height": 800}) as seen:
        box = seen.page.locator(".headline").first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 700


def test_a_command_breaks_between_its_words_only(visit: Callable[..., Any]) -> None:
    with visit(viewport={"width": 360, "height": 800}) as seen:
        seen.page.evaluate(DRAW_ALL)
        broken = seen.page.evaluate(
            "[...document.querySelectorAll('.word')].filter(w => w.textContent.length < 30 && w.getClientRects().length"
            " && w.getBoundingClientRect().height > 30).map(w => w.textContent)"
        )
        assert broken == []


def test_the_page_that_follows_runs_is_quiet_and_fits(browser: Browser, report: Path) -> None:
    page = report.with_name("watch.html")
    page.write_text(watch_page(read_under_way(report.parent), report.parent, None), encoding="utf-8")
    context = browser.new_context(viewport={"width": 360, "height": 800}, bypass_csp=True)
    seen = context.new_page()
    said: list[str] = []
    seen.on("console", lambda message: said.append(message.text))
    seen.on("pageerror", lambda error: said.append(str(error)))
    seen.on("request", lambda asked: None if asked.url == page.as_uri() else said.append(asked.url))
    seen.goto(page.as_uri())
    seen.evaluate(DRAW_ALL)
    assert seen.evaluate("document.documentElement.scrollWidth") == 360
    assert {plot.get_attribute("data-chart") for plot in seen.locator(".plot").all()} >= {"search0-parallel"}
    assert "5 of 6" in seen.locator("main").inner_text() or "6 of 6" in seen.locator("main").inner_text()
    assert said == []
    found = Axe().run(seen, options={"resultTypes": ["violations"]})
    assert [each["id"] for each in found.response["violations"] if each["impact"] in ("serious", "critical")] == []
    context.close()


def test_colours_follow_the_scheme(visit: Callable[..., Any]) -> None:
    with visit() as seen:
        seen.page.evaluate(DRAW_ALL)
        colour = "getComputedStyle(document.querySelector('#q1-accuracy svg text')).fill"
        light = seen.page.evaluate(colour)
        seen.page.emulate_media(color_scheme="dark")
        seen.wait_until(f"{colour} !== {light!r}")


def test_it_prints_with_everything_unfolded_but_the_links(visit: Callable[..., Any], tmp_path: Path) -> None:
    with visit() as seen:
        seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        folded = seen.page.locator("main details:not([open]) summary").all_inner_texts()
        assert folded
        assert all(words.startswith("Records (") for words in folded)
        assert seen.page.locator(".plot:not([data-drawn])").count() == 0
        seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert seen.page.locator("main details:not([open])").count() > 0
        seen.page.pdf(path=tmp_path / "page.pdf", format="A4")
        assert (tmp_path / "page.pdf").stat().st_size > 50_000
        assert seen.said == []


def test_without_scripts_the_answers_and_tables_are_there(visit: Callable[..., Any]) -> None:
    with visit(java_script_enabled=False) as seen:
        assert "are better than baseline" in seen.page.locator("#q1 .headline").inner_text()
        assert seen.page.locator("#q1 table").first.locator("tbody tr").count() == 5
        assert str(seen.page.locator("#q3").text_content()).count("cifar-lab run") == 1


def test_the_policy_lets_nothing_out_and_no_other_script_in(visit: Callable[..., Any]) -> None:
    with visit() as seen:
        assert not seen.page.evaluate("fetch('http://127.0.0.1:9/').then(() => true, () => false)")
        seen.page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
        )
        assert seen.page.evaluate("window.ran") is None


def test_links_lead_to_the_records(visit: Callable[..., Any], report: Path) -> None:
    with visit() as seen:
        links = seen.page.locator("#q1 a[href^='runs/']").evaluate_all(
            "links => links.map(a => a.getAttribute('href'))"
        )
        assert len(links) == 20  # five arms of four seeds, the diverged run too
        assert all((report.parent / link).is_file() for link in links)

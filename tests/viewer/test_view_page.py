"""The page in a browser: the cursor, the sliders, the fates, two runs, keys; dark, narrow and with little motion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from view_material import grey_frames, of_clip, write_rollout, write_run, write_scene
from web_driver import Browser, browser, missing

from outofsight.commands.view import read_given
from outofsight.viewer import write_reports
from pipelines import FRAMES

WHY = missing()
pytestmark = pytest.mark.skipif(WHY is not None, reason=str(WHY))

EVIL = "</script><img src=x onerror=window.hurt=1><script>window.hurt=1</script>{{SCRIPTS}}"
BACK = 12  # the first frame in which the dog is in view again
GREY = """const canvas = document.querySelector(`#${arguments[0]} canvas`);
    return canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[1];"""


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("view")
    sources = of_clip(write_scene(folder / "data"), prompt=EVIL)
    one = write_run(folder / "one.mp4", sources)
    two = write_run(folder / "two.mp4", sources, 255 - grey_frames())
    chunks = write_rollout(folder / "chunks.mp4", sources)
    later = write_rollout(folder / "later.mp4", sources, traces=(1,))
    return {
        "chunks": write_reports(chunks, None, folder / "chunks.html", read_given),
        "later": write_reports(later, None, folder / "later.html", read_given),
        "one": write_reports(one, None, folder / "one.html", read_given),
        "both": write_reports(one, two, folder / "both.html", read_given),
    }


@pytest.fixture
def page(window: Browser, pages: dict[str, Path]) -> Browser:
    window.look()
    window.open(pages["one"])
    assert window.complaints() == []
    return window


def frame(page: Browser) -> int:
    """The frame by the slider, which must be the one that the page names."""
    number = int(page.run("return document.getElementById('time').value"))
    told = page.run("return document.getElementById('moment').textContent")
    half, place = ("target", number - FRAMES) if number >= FRAMES else ("context", number)
    assert f"{half} frame {place + 1} of {FRAMES}" in told
    return number


def grey(page: Browser, panel: str) -> int:
    page.wait("[...document.images].every((image) => image.complete)")
    return int(page.run(GREY, panel))


def slide(page: Browser, selector: str, value: int) -> None:
    page.run(
        "const node = document.querySelector(arguments[0]); node.value = arguments[1];"
        "node.dispatchEvent(new Event('input', {bubbles: true}))", selector, value,
    )  # fmt: skip


def opacities(page: Browser, run: int = 0) -> list[float]:
    """Of the cells that were recalled, row by row."""
    return page.run(
        "return [...document.querySelectorAll('.recall-map')[arguments[0]].querySelectorAll('.cell')]"
        ".map((cell) => Number(Number(cell.getAttribute('fill-opacity')).toFixed(3)))", run,
    )  # fmt: skip


def test_it_opens_where_the_subject_comes_back_and_the_slider_moves_every_picture(page: Browser) -> None:
    assert frame(page) == BACK
    assert grey(page, "panel-generated-0") == pytest.approx(20 * (BACK - FRAMES + 1), abs=3)
    slide(page, "#time", FRAMES)
    assert frame(page) == FRAMES and grey(page, "panel-generated-0") == pytest.approx(20, abs=3)
    assert page.run("return document.querySelector('#panel-truth .screen').dataset.phase") == "hidden"
    slide(page, "#time", 3)
    nothing = "return document.querySelector('#panel-generated-0 .nothing').textContent"
    assert page.run(nothing) == "the target begins in 0.8 s"
    assert page.run("return document.querySelector('#panel-context .screen').dataset.phase") == "visible"


def test_keys_move_the_cursor(page: Browser) -> None:
    page.press("right", "right", "left")
    assert frame(page) == BACK + 1
    page.press("shift+left")
    assert frame(page) == BACK - 4
    page.press("home")
    assert frame(page) == 0
    page.press("end", "right")
    assert frame(page) == 2 * FRAMES - 1
    page.run("document.getElementById('time').focus()")
    page.press("left")
    assert frame(page) == 2 * FRAMES - 2, "one press moves one frame, on the slider too"
    page.run("document.querySelector('.step').focus()")
    page.press("right")
    assert frame(page) == 2 * FRAMES - 2 and page.run("return document.querySelector('.step').value") == "1"


def test_space_plays_from_the_cursor_and_pauses(page: Browser) -> None:
    page.press(" ")
    assert page.run("return document.getElementById('play').textContent") == "Pause"
    page.wait(f"Number(document.getElementById('time').value) > {BACK}")
    page.press(" ")
    stopped = frame(page)
    assert page.run("return document.getElementById('play').getAttribute('aria-pressed')") == "false"
    page.run("return new Promise((done) => setTimeout(done, 300))")
    assert frame(page) == stopped
    page.run("document.getElementById('play').focus()")
    page.press(" ")
    assert page.run("return document.getElementById('play').textContent") == "Pause", "the button is pressed once"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_with_little_motion_it_stops_at_the_end(page: Browser, motion: str) -> None:
    page.look(prefers_reduced_motion=motion)
    slide(page, "#time", 2 * FRAMES - 2)
    page.press(" ")
    if motion == "reduce":
        page.wait("document.getElementById('play').textContent === 'Play'")
        assert frame(page) == 2 * FRAMES - 1
    else:
        page.wait("Number(document.getElementById('time').value) < 5")


def test_curves_and_maps_are_clicked_to_go_there(page: Browser) -> None:
    page.click("#charts svg", x=0.999)
    assert frame(page) == 2 * FRAMES - 1
    page.click("#charts svg", x=0.001)
    assert frame(page) == 0
    # the rows end 44 pixels above the end of the drawing: the last one stands for frames 14 to 17
    height = page.run("return document.querySelector('.recall-map svg').clientHeight")
    page.click(".recall-map svg", y=(height - 48) / height)
    assert frame(page) == 17
    assert page.run("return document.querySelectorAll('.hidden-span').length") == 2, "once in each chart"


def test_sliders_choose_step_and_block_of_the_map(page: Browser) -> None:
    # rows 0, 1 and 2 of tokens 0, 1 and 2; see trace_arrays
    assert opacities(page) == [1, 1, 0.667, 0.167, 0.667, 1]
    slide(page, ".step", 1)
    assert opacities(page) == [1, 1, 0.333, 0.333, 0.333, 1]
    assert page.run("return document.querySelector('.step-said').textContent") == "1 of 2, noise 1.00"
    slide(page, ".block", 2)
    assert opacities(page) == [1, 1, 1, 1], "block 2 of step 1: frame 1 recalls token 1"
    slide(page, ".step", 2)
    assert opacities(page) == [1, 1, 1, 1, 1], "step 2: frame 1 recalls tokens 0 and 2"
    marks = """return ['masked', 'no-token', 'window'].map((name) =>
        document.querySelectorAll(`.recall-map svg .${name}`).length)"""
    # row 0 may not recall token 2; three target frames are no tokens; windows of 3, 3 and 3 latent frames
    assert page.run(marks) == [1, 9, 9]
    assert page.run("return document.querySelectorAll('.recall-map .seen-mark').length") == 4, (
        "latent frames 0, 1, 4, 5"
    )


def test_recalled_frames_are_named_shown_and_lit(page: Browser) -> None:
    listed = "return [...document.querySelectorAll('.recalled li')].map((item) => item.textContent)"
    assert page.run(listed) == ["67 %: −1.1 sdog visible", "67 %: −0.5 to −0.1 ssubject not visible",
                                "17 %: −1.0 to −0.6 sdog visible"]  # fmt: skip
    assert page.run("return document.querySelectorAll('.ground-map .lit').length") == 3
    page.wait("[...document.images].every((image) => image.complete)")
    # each is shown by its last frame: 0, 8 and 4; the dog, which is white, was in the left columns until 3
    white = """return [...document.querySelectorAll('.recalled canvas')].map((canvas) =>
        canvas.getContext('2d').getImageData(4, 12, 1, 1).data[1] > 220)"""
    assert page.run(white) == [True, False, False]
    assert "78 % of what was recalled shows it; drawn at random it would be 67 %" in page.run(
        "return document.querySelector('.hits').textContent"
    )
    assert "recalled most: −1.1 s, 67 %" in page.run("return document.getElementById('panel-context').textContent")
    slide(page, "#time", 17)
    assert page.run(listed) == ["100 %: −1.0 to −0.6 sdog visible"]
    slide(page, "#time", 0)
    assert page.run(listed) == [] and page.run("return document.querySelectorAll('.ground-map .lit').length") == 0


def test_the_subject_is_drawn_solid_when_seen_and_dashed_when_not(page: Browser) -> None:
    assert page.run(
        "return [...document.querySelectorAll('.ground-map svg .track')].map((line) => line.classList.length)"
    ) == [1, 2, 1]
    assert "dog" in page.run("return document.querySelector('.ground-map svg').getAttribute('aria-label')")
    assert page.run("return document.querySelectorAll('.ground-map svg .subject').length") == 1
    slide(page, "#time", 6)
    assert "dog out of view" in page.run("return document.querySelector('.ground-map svg').getAttribute('aria-label')")
    assert page.run("return document.querySelectorAll('.ground-map svg .subject-away').length") == 1
    words = page.run("return [...document.querySelectorAll('.ground-map svg text')].map((text) => text.textContent)")
    assert words == ["dog (out of view)", "1 m"]


def test_fates_are_shown_on_demand(page: Browser) -> None:
    shown = "return [...document.querySelectorAll('#panels figure:not([hidden])')].map((figure) => figure.id)"
    usual = ["panel-context", "panel-generated-0", "panel-truth", "panel-difference-0"]
    assert page.run(shown) == usual
    page.click("#fates")
    assert page.run(shown) == [*usual, "panel-vanished", "panel-frozen"]
    # in frame BACK the dog, which is white, stands in columns 0 to 7; frozen it would in 8 to 15; vanished nowhere
    page.wait("[...document.images].every((image) => image.complete)")
    level = """return arguments[0].map((id) => document.querySelector(`#panel-${id} canvas`).getContext('2d')
        .getImageData(arguments[1], 12, 1, 1).data[1])"""
    dog = page.run(level, ["truth", "vanished", "frozen"], 4)
    held = page.run(level, ["truth", "vanished", "frozen"], 12)
    assert [value > 220 for value in dog] == [True, False, False]
    assert [value > 220 for value in held] == [False, False, True]
    page.click("#fates")
    assert page.run(shown) == usual


def test_two_runs_share_one_cursor(window: Browser, pages: dict[str, Path]) -> None:
    window.look()
    window.open(pages["both"])
    slide(window, "#time", FRAMES)
    assert grey(window, "panel-generated-0") == pytest.approx(20, abs=3)
    assert grey(window, "panel-generated-1") == pytest.approx(235, abs=3)
    assert window.run("return document.querySelectorAll('.recall-map svg').length") == 2
    assert window.run("return document.querySelectorAll('.ground-map svg').length") == 2
    slide(window, ".step", 1)
    assert opacities(window, 0) != opacities(window, 1) == [1, 1, 0.667, 0.167, 0.667, 1], "sliders are each map's own"
    rows = "return [...document.querySelectorAll('#score-table tbody th')].map((cell) => cell.textContent)"
    assert window.run(rows) == ["one", "two", "last frame held", "best view copied"]
    window.press("right")
    readouts = "return [...document.querySelectorAll('.readout')].map((line) => line.textContent.includes('+0.1 s'))"
    assert window.run(readouts) == [True, True]
    assert window.complaints() == []


def test_words_from_files_stay_words(page: Browser) -> None:
    assert page.run("return [document.getElementById('caption').textContent, window.hurt ?? null]") == [EVIL, None]


@pytest.mark.parametrize("name", ["one", "both"])
def test_on_a_phone_it_is_one_column_of_readable_text(window: Browser, pages: dict[str, Path], name: str) -> None:
    window.look(width=390, height=844)
    window.open(pages[name])
    window.click("#fates") if name == "one" else None
    assert window.run("return document.documentElement.scrollWidth") == 390
    lefts = """return new Set([...document.querySelectorAll('#panels figure:not([hidden])')]
        .map((figure) => figure.offsetLeft)).size"""
    assert window.run(lefts) == 1
    smallest = """const wordy = (node) => [...node.childNodes].some((part) => part.nodeType === 3 && part.data.trim());
        const shown = [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility() && wordy(node));
        return Math.min(...shown.map((node) => parseFloat(getComputedStyle(node).fontSize)))"""
    assert window.run(smallest) >= 14
    # drawings are made for the width that there is, not scaled to it, so that 14 pixels are 14 pixels
    scales = """return [...document.querySelectorAll('.recall-map svg, .ground-map svg, .chart > svg')]
        .map((svg) => svg.clientWidth / svg.viewBox.baseVal.width)"""
    assert window.run(scales) == pytest.approx([1] * (4 if name == "one" else 6), abs=0.01)


def test_it_is_dark_where_dark_is_wanted_and_stands_out_in_both(window: Browser, pages: dict[str, Path]) -> None:
    contrasts = """const light = (name) => {
          const probe = document.body.appendChild(document.createElement('i'));
          probe.style.color = `var(--${name})`;
          const parts = getComputedStyle(probe).color.match(/\\d+/g).map((part) => part / 255);
          probe.remove();
          const [r, g, b] = parts.map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = light('surface');
        const ratio = (one, two) => (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
        const names = ['ink', 'muted', 'visible', 'hidden', 'returned', 'recall', 'subject', 'other', 'focus'];
        return [ground, ...names.map((name) => ratio(light(name), ground))];"""
    grounds = []
    for scheme in ("light", "dark"):
        window.look(prefers_color_scheme=scheme)
        window.open(pages["one"])
        ground, ink, muted, *marks = window.run(contrasts)
        assert ink > 7 and muted > 4.5 and min(marks) > 3, "WCAG 2.2: 1.4.6, 1.4.3 and 1.4.11"
        grounds.append(ground)
    assert grounds[0] > 0.9 and grounds[1] < 0.05


def test_every_control_is_reached_by_the_keyboard_and_has_a_name(page: Browser) -> None:
    active = """const node = document.activeElement;
        return [node.id || node.className, getComputedStyle(node).outlineStyle, node.matches(':focus-visible')]"""
    page.run("document.body.tabIndex = -1; document.body.focus()")
    reached = []
    for _ in range(6):
        page.press("tab")
        name, outline, visible = page.run(active)
        reached.append(name)
        assert visible and outline == "solid", name
    assert reached == ["fates", "step", "block", "scroll", "play", "time"]
    unnamed = """const controls = document.querySelectorAll('svg[role=img], canvas[role=img], input, button');
        const named = (node) => node.ariaLabel || node.labels?.length || node.textContent.trim();
        return [...controls].filter((node) => !named(node)).length"""
    assert page.run(unnamed) == 0


def test_of_several_chunks_the_map_is_of_the_one_under_the_cursor(window: Browser, pages: dict[str, Path]) -> None:
    window.look()
    window.open(pages["chunks"])
    choice = "const list = document.querySelector('.chunk'); return [list.value, list.selectedOptions[0].textContent]"
    rows = "return [...document.querySelectorAll('.recall-map svg text.soft')].map((text) => text.textContent)"
    assert frame(window) == BACK and window.run(choice) == ["0", "1: 0.0 to +0.5 s"]
    assert opacities(window) == [1, 1, 0.667, 0.167, 0.667] and window.run(rows) == ["the cut"]
    slide(window, ".step", 2)
    assert window.run("return document.querySelector('.step-said').textContent") == "2 of 2, noise 0.50"
    # the second chunk has a trace of one step, so all of it is shown
    slide(window, "#time", 14)
    assert window.run(choice) == ["1", "2: +0.6 to +1.0 s"]
    assert window.run("return document.querySelector('.step-said').textContent") == "all 1"
    assert opacities(window) == [1, 0.333, 0.667] and "chunk 2" in window.run(rows)
    listed = "return [...document.querySelectorAll('.recalled li')].map((item) => item.textContent)"
    assert window.run(listed) == ["67 %: 0.0 to +0.4 sdog visible", "33 %: −0.5 to −0.1 ssubject not visible"]
    # the picture that was recalled most is a generated one: frame 12, the run's fourth
    assert "recalled most: +0.4 s, 67 %" in window.run("return document.getElementById('panel-context').textContent")
    assert grey(window, "panel-context") == pytest.approx(80, abs=3)
    assert window.run("return document.querySelectorAll('.ground-map .lit').length") == 2
    # its first row is of a frame that the chunk before had made: a click there stays in this chunk
    window.click(".recall-map svg", y=0.2)
    assert frame(window) == 14
    slide(window, "#time", BACK)
    assert window.run("return document.querySelector('.step-said').textContent") == "2 of 2, noise 0.50"
    window.run(
        "const list = document.querySelector('.chunk'); list.value = '1';"
        "list.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    assert frame(window) == 14 and window.complaints() == []
    window.run("document.querySelector('.chunk').focus()")
    window.press("left")
    assert frame(window) in (9, 14), "keys in the list choose a chunk and move no single frame"


def test_a_chunk_without_a_trace_says_so_in_the_place_of_its_map(window: Browser, pages: dict[str, Path]) -> None:
    window.look()
    window.open(pages["later"])
    readout = "return document.querySelector('.readout').textContent"
    assert frame(window) == BACK and window.run(readout) == "No trace of the chunk that made the frame at +0.4 s."
    assert window.run("return document.querySelector('.recall-map svg').hasAttribute('hidden')")
    assert "no trace of this chunk" in window.run("return document.querySelector('.recalled-title').textContent")
    slide(window, "#time", 15)
    assert opacities(window) == [1, 0.333, 0.667] and "recalled most" in window.run(readout)
    slide(window, "#time", 2)
    assert opacities(window) == [1, 0.333, 0.667] and window.complaints() == []

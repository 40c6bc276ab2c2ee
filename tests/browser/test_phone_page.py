"""The phone page in a real browser, with a read model by hand beside it."""

import re
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, expect

from simulator.phone.beside import Step
from tests.browser.chromium import Seen, seen
from tests.browser.conftest import Bench
from tests.simulator.stand_in import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANA = "whatsapp:+5511999990000"


async def test_a_first_visit_shows_two_phones_and_says_what_to_do(shown: Seen) -> None:
    await expect(shown.page.get_by_role("article")).to_have_count(2)
    await expect(shown.page.get_by_role("banner")).to_contain_text("Write on a phone")
    await expect(shown.phone("Ana")).to_contain_text("Write something below")
    await expect(shown.beside("Ana")).to_contain_text("No conversation yet")


async def test_a_message_goes_to_the_webhook_and_stands_on_its_own_phone_only(shown: Seen, bench: Bench) -> None:
    await shown.write("Ana", "Oi!")
    await expect(shown.bubbles("Ana")).to_have_text([re.compile("Oi!")])
    await expect(shown.bubbles("Ana").locator(".tick-delivered")).to_be_visible()
    await expect(shown.bubbles("Bruno")).to_have_count(0)
    await expect(shown.composer("Ana")).to_have_value("")
    [post] = bench.door.posts
    assert (post.form["From"], post.form["Body"], post.form["ProfileName"]) == (ANA, "Oi!", "Ana")


async def test_a_reply_says_how_far_it_came_and_ticks_stand_on_what_the_contact_wrote_only(shown: Seen, bench: Bench) -> None:
    await shown.write("Ana", "Oi!")
    await expect(shown.bubbles("Ana")).to_have_count(1)
    await bench.stand_in.send("Olá, Ana!", to=ANA)
    reply = shown.phone("Ana").locator(".theirs .bubble")
    await expect(reply).to_contain_text("Olá, Ana!")
    await expect(reply.locator(".delivery")).to_have_text("read")
    await expect(reply.locator(".tick")).to_have_count(0)
    await expect(shown.phone("Ana").locator(".own .tick")).to_have_count(1)


async def test_a_burst_is_three_messages_in_one_go_in_their_order(shown: Seen, bench: Bench) -> None:
    await shown.composer("Bruno").fill("um\ndois\ntrês")
    await shown.phone("Bruno").get_by_role("button", name="Burst of 3").click()
    await expect(shown.bubbles("Bruno").locator(".text")).to_have_text(["um", "dois", "três"])
    await eventually(lambda: len(bench.door.posts) == 3)
    assert [post.form["Body"] for post in bench.door.posts] == ["um", "dois", "três"]


async def test_a_burst_of_nothing_makes_up_three_messages(shown: Seen, bench: Bench) -> None:
    await shown.phone("Ana").get_by_role("button", name="Burst of 3").click()
    await expect(shown.bubbles("Ana")).to_have_count(3)


AT_ONCE = """(texts) => {
  const form = document.querySelector(".composer");
  for (const text of texts) { form.elements.text.value = text; form.requestSubmit(form.querySelector(".send")); }
}"""


async def test_however_fast_somebody_writes_the_messages_go_out_in_their_order(shown: Seen, bench: Bench) -> None:
    texts = [f"{number}" for number in range(30)]
    await shown.page.evaluate(AT_ONCE, texts)
    await expect(shown.bubbles("Ana").locator(".text")).to_have_text(texts)
    await eventually(lambda: len(bench.door.posts) == len(texts))
    assert [post.form["Body"] for post in bench.door.posts] == texts


async def test_a_webhook_that_hangs_does_not_hold_up_the_next_message(shown: Seen, bench: Bench) -> None:
    bench.door.script = ["hang"]
    await shown.page.evaluate(AT_ONCE, ["um", "dois"])
    await expect(shown.bubbles("Ana").locator(".tick-delivered")).to_have_count(1)
    await expect(shown.bubbles("Ana").first.locator(".tick-sent")).to_be_visible()
    await expect(shown.bubbles("Ana").locator(".text")).to_have_text(["um", "dois"])


@pytest.mark.parametrize(
    ("button", "message_type", "visible"),
    [("Image", "image", ".photo"), ("Voice note", "audio", ".voice"), ("Location", "location", ".place")],
)
async def test_what_a_contact_can_send_beside_text(
    shown: Seen, bench: Bench, button: str, message_type: str, visible: str
) -> None:
    await shown.phone("Ana").get_by_role("button", name=button).click()
    await expect(shown.bubbles("Ana").locator(visible)).to_be_visible()
    await eventually(lambda: bench.door.posts)
    assert bench.door.posts[0].form["MessageType"] == message_type


async def test_a_photograph_is_drawn(shown: Seen) -> None:
    await shown.phone("Ana").get_by_role("button", name="Image").click()
    photo = shown.bubbles("Ana").locator("img")
    await expect(photo).to_be_visible()
    await eventually(lambda: photo.evaluate("image => image.complete"))
    assert await photo.evaluate("image => image.naturalWidth") == 320


async def test_a_tap_on_a_button_sends_its_title_and_payload(shown: Seen, bench: Bench) -> None:
    await shown.composer("Ana").fill("Quero mesa")
    await shown.phone("Ana").get_by_role("button", name="Button reply").click()
    await expect(shown.bubbles("Ana")).to_contain_text(["Quero mesa"])
    await expect(shown.bubbles("Ana").locator("code")).to_have_text("quero_mesa")
    assert bench.door.posts[0].form["ButtonPayload"] == "quero_mesa"


async def test_what_the_webhook_did_not_take_is_marked(shown: Seen, bench: Bench) -> None:
    bench.door.script = [503]
    await shown.write("Ana", "Oi!")
    await expect(shown.bubbles("Ana").locator(".trouble")).to_have_text("The webhook answered 503")
    await expect(shown.bubbles("Ana").locator(".tick-failed")).to_be_visible()


async def test_a_message_that_fails_on_its_way_shows_its_code(shown: Seen, bench: Bench) -> None:
    await shown.write("Ana", "Oi!")
    await expect(shown.bubbles("Ana")).to_have_count(1)
    await bench.stand_in.break_down(callbacks={"fail": {"code": 63024}})
    await bench.stand_in.send("Olá", to=ANA)
    await expect(shown.phone("Ana").locator(".theirs .delivery")).to_have_text("failed")
    await expect(shown.phone("Ana").locator(".theirs .trouble")).to_contain_text("63024")


async def test_typing_dots_show_until_the_message_comes(shown: Seen, bench: Bench) -> None:
    written = await bench.stand_in.write(ANA, body="Oi")
    form = {"channel": "whatsapp", "messageId": written["sid"]}
    from tests.simulator.stand_in import authorization

    async with bench.stand_in.http.post(f"{bench.url}v2/Indicators/Typing.json", data=form, headers=authorization()) as answer:
        assert answer.status == 200
    dots = shown.phone("Ana").locator(".dots")
    await expect(dots).to_be_visible()
    await expect(shown.bubbles("Ana").locator(".tick-read")).to_be_visible()
    await bench.stand_in.send("Olá", to=ANA)
    await expect(dots).to_have_count(0)


async def test_a_switch_turns_a_fault_on_and_shows_when_it_is_used_up(shown: Seen, bench: Bench) -> None:
    await shown.write("Ana", "Oi!")
    await shown.open_switches("The next send")
    switch = shown.page.get_by_role("switch", name="Too many requests")
    await switch.check()
    await expect(shown.page.locator("#fault-count")).to_have_text("1")
    await eventually(lambda: _is_planned(bench))
    with pytest.raises(Exception, match="Too Many Requests"):
        await bench.stand_in.send("Olá", to=ANA)
    await expect(switch).not_to_be_checked()
    await expect(shown.page.locator("#fault-count")).to_be_hidden()
    await expect(shown.phone("Ana").locator(".note")).to_contain_text("429")


async def _is_planned(bench: Bench) -> bool:
    plan = await bench.stand_in.control("GET", "faults")
    return bool(plan["create"]["429"] == 1)


async def test_every_message_twice_is_one_bubble_and_two_posts(shown: Seen, bench: Bench) -> None:
    await shown.open_switches("What contacts write")
    await shown.page.get_by_role("switch", name="Post each message twice").check()
    await shown.page.keyboard.press("Escape")
    await expect(shown.page.locator("#fault-count")).to_have_text("1")
    await eventually(lambda: _faults_changed(bench))
    await shown.write("Ana", "Oi!")
    await eventually(lambda: len(bench.door.posts) == 2)
    await expect(shown.bubbles("Ana")).to_have_count(1)


async def _faults_changed(bench: Bench) -> bool:
    return bool(await bench.stand_in.entries("faults_changed"))


async def test_what_a_contact_read_who_hides_it_is_delivered(shown: Seen, bench: Bench) -> None:
    await shown.write("Ana", "Oi!")
    await expect(shown.bubbles("Ana")).to_have_count(1)
    await shown.station("Ana").get_by_role("button", name="Read receipts on").click()
    await expect(shown.station("Ana").get_by_role("button", name="Read receipts off")).to_be_visible()
    await bench.stand_in.send("Olá", to=ANA)
    await expect(shown.phone("Ana").locator(".theirs .delivery")).to_have_text("delivered")
    assert (await bench.stand_in.phone(ANA))["received"][0]["status"] == "delivered"


async def test_a_contact_is_added_and_taken_away_and_drafts_stay(shown: Seen) -> None:
    await shown.composer("Ana").fill("half a sent")
    await shown.page.get_by_role("button", name="Contact", exact=True).click()
    await shown.page.get_by_label("Address").fill("whatsapp:BR.1234567890")
    await shown.page.get_by_label("Name", exact=True).fill("Zoé")
    await shown.page.get_by_role("button", name="Add", exact=True).click()
    await expect(shown.page.get_by_role("article")).to_have_count(3)
    await expect(shown.composer("Ana")).to_have_value("half a sent")
    await shown.write("Zoé", "Salut")
    await expect(shown.bubbles("Zoé")).to_have_count(1)
    await shown.page.get_by_role("link", name="Remove Bruno").click()
    await expect(shown.page.get_by_role("heading", level=2).filter(visible=True)).to_have_text(["Ana", "Zoé"])
    await expect(shown.bubbles("Zoé")).to_have_count(1)


async def test_whoever_else_writes_is_offered(shown: Seen, bench: Bench) -> None:
    await bench.stand_in.write("whatsapp:+5511933334444", body="Oi")
    link = shown.page.get_by_role("link", name="+55 11 93333-4444")
    await link.click()
    await expect(shown.page.get_by_role("article")).to_have_count(3)


async def test_on_a_full_page_the_first_phone_makes_room_and_the_page_says_so_before(browser: Browser, bench: Bench) -> None:
    addresses = [f"whatsapp:+55119222200{number:02d}" for number in range(6)]
    query = urlencode([pair for each in addresses for pair in (("contact", each), ("name", f"Nº {each[-1]}"))])
    async with seen(browser, f"{bench.url}?{query}") as shown:
        phones = shown.page.get_by_role("article")
        await expect(phones).to_have_count(6)
        await bench.stand_in.write("whatsapp:+5511933334444", body="Oi")
        await expect(shown.page.get_by_role("navigation", name="Other contacts")).to_contain_text("takes the place of Nº 0")
        await shown.page.get_by_role("link", name="+55 11 93333-4444").click()
        await expect(shown.station("Nº 0")).to_have_count(0)
        await expect(phones).to_have_count(6)
        await expect(phones.last).to_contain_text("+55 11 93333-4444")
        await shown.page.get_by_role("button", name="Contact", exact=True).click()
        await expect(shown.page.get_by_role("dialog", name="Another contact")).to_contain_text("takes the place of Nº 1")
        await shown.page.get_by_role("button", name="Add", exact=True).click()
        await expect(shown.station("Nº 1")).to_have_count(0)
        await expect(phones).to_have_count(6)
        await expect(phones.last).to_contain_text("+55 11 97777-0001")


async def test_of_many_others_those_that_wrote_last_come_first_and_the_rest_are_counted(shown: Seen, bench: Bench) -> None:
    others = shown.page.get_by_role("navigation", name="Other contacts")
    for number in range(12):
        await bench.stand_in.write(f"whatsapp:+55119333300{number:02d}", body="Oi")
    last_first = [f"+55 11 93333-00{number:02d}" for number in range(11, 5, -1)]
    await expect(others.get_by_role("link")).to_have_text(last_first)
    await expect(others).to_contain_text("and 6 more")
    await bench.stand_in.write("whatsapp:+5511933330000", body="Oi de novo")
    await expect(others.get_by_role("link")).to_have_text(["+55 11 93333-0000", *last_first[:-1]])


async def test_whoever_is_on_the_way_to_another_contact_stays_there_while_others_write(shown: Seen, bench: Bench) -> None:
    first, second = "whatsapp:+5511933330001", "whatsapp:+5511933330002"
    for writer in (first, second):
        await bench.stand_in.write(writer, body="Oi")
    links = shown.page.get_by_role("navigation", name="Other contacts").get_by_role("link")
    await expect(links).to_have_text(["+55 11 93333-0002", "+55 11 93333-0001"])
    await links.last.focus()
    await bench.stand_in.write(first, body="Oi de novo")
    await expect(links).to_have_text(["+55 11 93333-0001", "+55 11 93333-0002"])
    await expect(links.first).to_be_focused()
    await bench.stand_in.write(second, body="Oi de novo")
    await expect(links).to_have_text(["+55 11 93333-0002", "+55 11 93333-0001"])
    await expect(links.last).to_be_focused()
    await expect(shown.page.get_by_role("navigation", name="Other contacts")).not_to_contain_text("more")


async def test_the_conversation_beside_the_phone_is_live(shown: Seen, bench: Bench) -> None:
    bench.system.open(ANA, Step("1", "message.received", bench.system.now_ms, ("opened conversation", "status pending")))
    beside = shown.beside("Ana")
    await expect(beside.locator(".status")).to_have_text("active")
    await expect(beside).to_contain_text(re.compile(r"idle\s+in 14 min"))
    await expect(beside.locator(".steps li")).to_contain_text(["message.received"])
    await expect(beside.locator(".word-pending")).to_have_text("pending")
    await expect(shown.beside("Bruno")).to_contain_text("No conversation yet")


async def test_the_clock_takes_a_conversation_from_active_to_idle_and_expired(shown: Seen, bench: Bench) -> None:
    bench.system.open(ANA)
    await shown.write("Ana", "Oi!")
    status = shown.beside("Ana").locator(".status")
    await expect(status).to_have_text("active")
    await shown.page.get_by_role("button", name="20 minutes later").click()
    await expect(status).to_have_text("idle")
    await expect(shown.page.locator(".ahead")).to_have_text("20 min ahead")
    await shown.page.get_by_role("button", name="25 hours later").click()
    await expect(status).to_have_text("expired")
    await expect(shown.page.locator(".ahead")).to_have_text("1 d 1 h ahead")
    await expect(shown.phone("Ana").locator(".later")).to_have_text(["20 minutes later", "25 hours later"])
    await expect(shown.beside("Ana").locator(".steps li").first).to_contain_text("status idle → expired")


async def test_a_person_takes_over_from_the_page(shown: Seen, bench: Bench) -> None:
    bench.system.open(ANA)
    await shown.beside("Ana").get_by_role("button", name="Take over").click()
    await eventually(lambda: bench.system.said == [("take over", ANA, "")])


async def test_while_the_read_model_is_away_the_phones_work_and_the_page_says_so(shown: Seen, bench: Bench) -> None:
    bench.system.trouble = "The read model does not answer: <b>ConnectionRefusedError</b>"
    await expect(shown.beside("Ana")).to_contain_text("does not answer: <b>ConnectionRefusedError</b>")
    await shown.write("Ana", "Oi!")
    await expect(shown.bubbles("Ana")).to_have_count(1)
    bench.system.trouble = ""
    await expect(shown.beside("Ana")).to_contain_text("No conversation yet")


async def test_an_act_that_is_refused_says_why(browser: Browser, bench: Bench) -> None:
    async with seen(browser, bench.url) as shown:
        bench.system.trouble = "this log is served in production"
        await shown.page.get_by_role("button", name="20 minutes later").click()
        await expect(shown.page.get_by_role("status")).to_have_text("this log is served in production")
        # The browser notes every answer that is no success.
        assert [line for line in shown.wrong if "409" not in line] == []
        shown.wrong.clear()


async def test_a_page_that_nobody_looks_at_asks_for_nothing(shown: Seen, bench: Bench) -> None:
    await eventually(lambda: bench.system.looks > 0)
    await shown.page.evaluate("leave()")

    async def has_stopped() -> bool:
        looks = bench.system.looks
        await shown.page.wait_for_timeout(1200)
        return bench.system.looks == looks

    await eventually(has_stopped)
    await bench.stand_in.write(ANA, body="Oi")
    await shown.page.evaluate("follow()")
    await expect(shown.bubbles("Ana")).to_have_count(1)

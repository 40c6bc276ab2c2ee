from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import DEVELOPMENT_ACCOUNT
from streams.envelope import decode, encode, new_event
from streams.events import Media, MessageReceived, MessageStatusChanged
from streams.thread_token import seal
from tests.webhook.posts import CONTACT, SENDER, SID, STATUS, TEXT
from webhook.forms import MalformedForm, contradicts_itself, message_received, message_status_changed, read_form, storable

VICTIM = "whatsapp:+5521977776666"
SECRET = "a secret of thirty-two characters."
MEDIA_URL = f"https://api.twilio.com/2010-04-01/Accounts/{DEVELOPMENT_ACCOUNT}/Messages/MM3d/Media/ME60"


def received(**fields: str) -> MessageReceived:
    return thread_and_message(**fields)[1]


def thread_and_message(**fields: str) -> tuple[str, MessageReceived]:
    form = read_form(urlencode({**TEXT, **fields}).encode())
    return message_received(form, DEVELOPMENT_ACCOUNT)


def changed(query: str = "", **fields: str) -> tuple[str, MessageStatusChanged]:
    form = read_form(urlencode({**STATUS, **fields}).encode())
    return message_status_changed(form, query.encode(), DEVELOPMENT_ACCOUNT, SECRET)


def refusal(body: bytes) -> MalformedForm:
    with pytest.raises(MalformedForm) as raised:
        message_received(read_form(body), DEVELOPMENT_ACCOUNT)
    return raised.value


# ------------------------------------------------------------------------------------------------- inbound messages


def test_a_text_is_kept_as_it_came() -> None:
    thread, message = thread_and_message(Body="  Olá,\n tudo bem? 👋 ")
    assert thread == f"{SENDER}|{CONTACT}"
    assert (message.sid, message.kind, message.body) == (SID, "text", "  Olá,\n tudo bem? 👋 ")
    assert message.profile_name == "Ana"
    assert message.media == ()
    assert message.choice is None


@pytest.mark.parametrize(
    ("fields", "kind", "body"),
    [
        ({"MessageType": "text", "Body": " "}, "text", "[empty message]"),
        ({"MessageType": "image", "Body": "Look!"}, "image", "[image] Look!"),
        ({"MessageType": "image", "Body": ""}, "image", "[image]"),
        ({"MessageType": "audio", "Body": ""}, "audio", "[voice message]"),
        ({"MessageType": "video", "Body": "a cat"}, "video", "[video] a cat"),
        ({"MessageType": "document", "Body": "bill.pdf"}, "document", "[document] bill.pdf"),
        ({"MessageType": "sticker", "Body": ""}, "sticker", "[sticker]"),
        ({"MessageType": "contacts", "Body": ""}, "contacts", "[contact card]"),
        ({"MessageType": "location", "Body": "", "Latitude": "25.018766403198", "Longitude": "-77.395950317383", "Label": "Pier"},
         "location", "[location 25.01877, -77.39595: Pier]"),
        ({"MessageType": "location", "Body": "", "Latitude": "25.5", "Longitude": "-77"}, "location", "[location 25.5, -77]"),
        ({"MessageType": "location", "Body": "", "Latitude": "1e308", "Longitude": "nan", "Address": "Rua 1"},
         "location", "[location ?, ?: Rua 1]"),
        ({"MessageType": "location", "Body": ""}, "location", "[location]"),
        ({"MessageType": "button", "Body": "Sim", "ButtonText": "Sim", "ButtonPayload": "yes"}, "button", "Sim"),
        ({"MessageType": "interactive", "Body": "Pro", "ListTitle": "Pro", "ListId": "plan_pro"}, "interactive", "Pro"),
        ({"MessageType": "reaction", "Body": "👍"}, "reaction", "[unsupported message: reaction] 👍"),
        ({"MessageType": "order", "Body": ""}, "order", "[unsupported message: order]"),
        ({"MessageType": "[x]\r\n" + "y" * 99, "Body": ""}, "_x_" + "y" * 37, "[unsupported message: _x_" + "y" * 37 + "]"),
    ],
)  # fmt: skip
def test_every_type_of_message_is_readable(fields: dict[str, str], kind: str, body: str) -> None:
    message = received(**fields)
    assert (message.kind, message.body) == (kind, body)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "text"),
        ({"MediaUrl0": MEDIA_URL, "MediaContentType0": "image/jpeg"}, "image"),
        ({"MediaUrl0": MEDIA_URL, "MediaContentType0": "audio/ogg"}, "audio"),
        ({"MediaUrl0": MEDIA_URL, "MediaContentType0": "application/pdf"}, "document"),
        ({"MediaUrl0": MEDIA_URL}, "document"),
        ({"Latitude": "1", "Longitude": "2"}, "location"),
        ({"ButtonPayload": "yes"}, "interactive"),
    ],
)
@pytest.mark.parametrize("named", ["", "text"])
def test_a_message_of_no_named_type_is_what_its_fields_show(fields: dict[str, str], kind: str, named: str) -> None:
    shows_a_file_or_nothing = kind not in {"location", "interactive"}
    assert received(MessageType=named, **fields).kind == (kind if shows_a_file_or_nothing or not named else named)


def test_a_file_is_kept_with_its_type() -> None:
    message = received(MessageType="image", NumMedia="1", MediaUrl0=MEDIA_URL, MediaContentType0="image/jpeg")
    assert message.media == (Media(url=MEDIA_URL, content_type="image/jpeg"),)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "https://a b", "https://" + "a" * 3000])
def test_an_address_that_is_no_address_of_a_file_is_kept_in_the_form_only(url: str) -> None:
    message = received(MessageType="image", NumMedia="1", MediaUrl0=url)
    assert message.media == ()
    assert message.form["MediaUrl0"] == (url,)


def test_a_choice_carries_its_payload() -> None:
    assert (
        received(MessageType="interactive", ButtonText="Confirmar", ButtonPayload="{verifyEmail:a@b.c}").choice
        == "{verifyEmail:a@b.c}"
    )
    assert received(MessageType="interactive", ListTitle="Pro", ListId="plan_pro").choice == "plan_pro"


def test_a_reply_names_what_it_replies_to() -> None:
    assert received(OriginalRepliedMessageSid="MM3c").reply_to_sid == "MM3c"
    assert received(OriginalRepliedMessageSid="no sid").reply_to_sid is None


def test_a_contact_without_a_phone_has_a_thread() -> None:
    contact = "whatsapp:BR.1A2B3C"
    thread, message = thread_and_message(From=contact, ExternalUserId=contact, WaId="")
    assert thread == f"{SENDER}|{contact}"
    assert message.form["WaId"] == ("",)


def test_fields_unknown_here_are_kept_in_their_order() -> None:
    body = urlencode([*TEXT.items(), ("NewIn2027", "b"), ("NewIn2027", "a"), ("Blank", "")]).encode()
    _, message = message_received(read_form(body), DEVELOPMENT_ACCOUNT)
    assert message.form["NewIn2027"] == ("b", "a")
    assert message.form["Blank"] == ("",)
    assert set(TEXT) < set(message.form)


# --------------------------------------------------------------------------------------------------------- bad forms


@pytest.mark.parametrize("name", ["MessageSid", "AccountSid", "From", "To"])
def test_a_required_field_stands_once(name: str) -> None:
    missing = urlencode({key: value for key, value in TEXT.items() if key != name}).encode()
    twice = urlencode([*TEXT.items(), (name, TEXT[name])]).encode()
    blank = urlencode({**TEXT, name: ""}).encode()
    for body in (missing, twice, blank):
        assert refusal(body).fields == (name,)


@pytest.mark.parametrize("name", ["Body", "MessageType", "ProfileName", "ButtonPayload"])
def test_a_field_that_is_interpreted_never_stands_twice(name: str) -> None:
    body = urlencode([*TEXT.items(), (name, "x"), (name, "x")]).encode()
    assert refusal(body).fields == (name,)


@pytest.mark.parametrize(
    "address",
    ["+5511900000001", "whatsapp:", "whatsapp:+", "whatsapp:+55 11", "whatsapp:a|whatsapp:b", "whatsapp:a\nb", "whatsapp:\x00",
     "whatsapp:" + "a" * 129, "whatsapp:+5511900000001WaId5511900000001", "whatsapp:\u202e1", "sms:+5511900000001"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["From", "To"])
def test_what_does_not_look_like_an_address_is_refused(name: str, address: str) -> None:
    assert refusal(urlencode({**TEXT, name: address}).encode()).fields == (name,)


@pytest.mark.parametrize("wa_id", ["5511900000002", "551190000000", "1", "15511900000001", "4911900000001"])
def test_two_numbers_of_one_contact_contradict_each_other_and_the_message_is_kept(wa_id: str) -> None:
    thread, message = thread_and_message(WaId=wa_id)
    assert contradicts_itself(message.form)
    assert thread == f"{SENDER}|{TEXT['From']}"


@pytest.mark.parametrize(
    ("contact", "wa_id"),
    [
        ("whatsapp:+551188887777", "5511988887777"),
        ("whatsapp:+5511988887777", "551188887777"),
        ("whatsapp:+525512345678", "5215512345678"),
        ("whatsapp:+541112345678", "5491112345678"),
        ("whatsapp:+5511988887777", ""),
        ("whatsapp:+5511988887777", "BR.1A2B3C"),
        ("whatsapp:BR.1A2B3C", "5511988887777"),
    ],
)
def test_a_number_may_be_written_in_two_ways_or_be_hidden(contact: str, wa_id: str) -> None:
    thread, message = thread_and_message(From=contact, WaId=wa_id)
    assert not contradicts_itself(message.form)
    assert thread == f"{SENDER}|{contact}"


def test_a_form_cut_anew_so_that_another_wrote_it_is_told_of() -> None:
    """Twilio signs names and values run together: who has one signed form can cut it at other places, and it is signed too."""
    honest = {**TEXT, "Body": f"hiFrom{VICTIM}FromX"}
    moved = [name for name in sorted(honest) if "Body" < name <= "From"]
    kept = {name: value for name, value in honest.items() if name not in moved}
    cut = {**kept, "Body": "hi", "From": VICTIM, "FromX": "".join(name + honest[name] for name in moved)}
    assert run_together(cut) == run_together(honest)
    assert contradicts_itself(read_form(urlencode(cut).encode()))


def run_together(form: dict[str, str]) -> str:
    """What Twilio signs."""
    return "".join(name + form[name] for name in sorted(form))


def test_a_message_of_another_account_is_refused() -> None:
    assert refusal(urlencode({**TEXT, "AccountSid": "AC" + "9" * 32}).encode()).fields == ("AccountSid",)


def test_merged_fields_are_refused() -> None:
    """`MessageSidSM8..NumMedia0` signs like the two fields it merges."""
    merged = {**TEXT, "MessageSid": SID + "NumMedia0"}
    del merged["NumMedia"]
    assert refusal(urlencode(merged).encode()).fields == ("MessageSid",)


@pytest.mark.parametrize("body", [b"Body=%FF", b"\xff", b"Body=%ED%A0%80", b"%C3=1"])
def test_what_is_not_utf_8_is_refused(body: bytes) -> None:
    assert refusal(body).reason == "not UTF-8"


def test_a_million_fields_are_refused_unread() -> None:
    assert refusal(b"&" * 1_000_000).reason == "too many fields"


def test_a_refusal_carries_no_value() -> None:
    error = refusal(urlencode({**TEXT, "From": "whatsapp:secret phone"}).encode())
    assert "secret" not in f"{error} {error.reason} {error.fields} {error.__cause__} {error.__context__}"


def test_raw_unescaped_text_is_read() -> None:
    assert read_form("Body=Olá+👋&bad=%zz%".encode()) == {"Body": ("Olá 👋",), "bad": ("%zz%",)}


@given(st.one_of(st.binary(max_size=60), st.text("a=&%+;C38Aé", max_size=40).map(str.encode)))
def test_a_form_is_read_as_the_standard_library_reads_it(body: bytes) -> None:
    expected: dict[str, tuple[str, ...]] = {}
    try:
        for name, value in parse_qsl(body.decode(), keep_blank_values=True, errors="strict"):
            expected[name] = (*expected.get(name, ()), value)
    except UnicodeDecodeError:
        assert refusal(body).reason == "not UTF-8"
    else:
        assert read_form(body) == expected


def test_a_nul_becomes_the_replacement_character() -> None:
    form = storable(read_form(b"Bo%00dy=a%00b&Bo%00dy=c&x=1"))
    assert form == {"Bo\ufffddy": ("a\ufffdb", "c"), "x": ("1",)}


@given(
    st.one_of(
        st.binary(max_size=300),
        st.dictionaries(
            st.sampled_from([*TEXT, "Latitude", "Longitude", "ButtonPayload", "MediaUrl0", "x"]),
            st.text(st.characters(codec="utf-8")),
        ).map(lambda fields: urlencode({**TEXT, **fields}).encode()),
    )
)
def test_any_bytes_are_a_storable_event_or_refused(body: bytes) -> None:
    try:
        thread, message = message_received(storable(read_form(body)), DEVELOPMENT_ACCOUNT)
    except MalformedForm:
        return
    kept = [thread, message.body, message.kind, *message.form, *(value for values in message.form.values() for value in values)]
    assert not any("\x00" in text for text in kept)
    assert decode(encode(new_event(message, subject=thread, source="test"))).data == message
    assert message.body


# -------------------------------------------------------------------------------------------------------- statuses


def test_a_status_is_routed_by_the_token_of_its_thread() -> None:
    elsewhere = f"{SENDER}|whatsapp:BR.1A2B3C"
    thread, status = changed(f"thread={seal(elsewhere, SECRET)}&attempt=01ARZ3NDEKTSV4RRFFQ69G5FAV", MessageStatus="delivered")
    assert thread == elsewhere
    assert (status.sid, status.status, status.attempt) == (SID, "delivered", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert status.error_code is None


@pytest.mark.parametrize(
    "query", ["", "thread=", "thread=forged", f"thread={seal('x|y', 'another secret')}", "thread=a&thread=b", "%ff=\xe9"]
)
def test_a_status_without_a_valid_token_is_routed_by_its_addresses(query: str) -> None:
    thread, status = changed(query)
    assert thread == f"{SENDER}|{CONTACT}"
    assert status.attempt is None


def test_a_status_that_nothing_routes_is_refused() -> None:
    with pytest.raises(MalformedForm):
        changed("thread=forged", From="+1415")


@pytest.mark.parametrize(("code", "expected"), [("63016", 63016), ("", None), ("x", None), ("9" * 40, None), ("-1", None)])
def test_an_error_code_is_a_number_or_none(code: str, expected: int | None) -> None:
    assert changed(MessageStatus="undelivered", ErrorCode=code)[1].error_code == expected


@pytest.mark.parametrize("attempt", ["", "a%20b", "a%00", "x" * 129, "a&attempt=a"])
def test_a_strange_attempt_is_none(attempt: str) -> None:
    assert changed(f"attempt={attempt}")[1].attempt is None


@pytest.mark.parametrize("status", ["", "SENT", "sent\n", "x" * 40])
def test_a_strange_status_is_refused(status: str) -> None:
    with pytest.raises(MalformedForm):
        changed(MessageStatus=status)


def test_a_status_keeps_its_form() -> None:
    assert changed(ErrorMessage="why")[1].form["ErrorMessage"] == ("why",)

"""Encodings: told by mark, by bytes and by what reads as text; two that fit are never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datakit.core.errors import UserError
from datakit.core.text_encoding import (
    codec_of,
    decoded,
    fitting_encodings,
    is_foreign,
    known_encoding,
    marked_encoding,
    said_encoding,
    strange_place,
)

JAPANESE = (
    "カート画面 注文 ホーム 返品 商品詳細 支払い完了 レディース その他 問い合わせ クーポン "
    "検索結果 ログイン マイページ 配送 レビュー ライブ セール お気に入り 住所 領収書 正常 肺炎 骨折"
)
WORDS = {
    "gb18030": "购物车页面 订单 首页 退货页面 商品详情 支付成功 女装 其他 客服 优惠券 搜索结果 登录 个人中心 "
    "物流 评价 直播 秒杀 收藏夹 地址 发票 正常 肺炎 骨折 良性 恶性 结节 購物車頁面 訂單 商品詳情",
    "big5": "購物車頁面 訂單 首頁 退貨頁面 商品詳情 付款成功 女裝 其他 客服 優惠券 搜尋結果 登入 個人中心 "
    "物流 評價 直播 秒殺 收藏夾 地址 發票 正常 肺炎 骨折 良性 惡性 結節",
    "shift_jis": JAPANESE,
    "euc_jp": JAPANESE,
    "cp949": "장바구니 주문 홈 반품 상품상세 결제완료 여성의류 기타 고객센터 쿠폰 검색결과 로그인 마이페이지 "
    "배송 리뷰 라이브 특가 찜 주소 영수증 정상 폐렴 골절 양성 악성 결절",
}
FILES = st.sampled_from(sorted(WORDS)).flatmap(
    lambda name: st.tuples(
        st.just(name), st.lists(st.sampled_from(WORDS[name].split()), min_size=1, max_size=40)
    )
)


def lines_of(labels: list[str], encoding: str) -> list[bytes]:
    return [f"{at},i/{at}.jpg,{label}".encode(encoding) for at, label in enumerate(labels)]


@given(FILES)
@settings(max_examples=300, deadline=None)
@example(("cp949", ["쿠폰"]))  # as probable in GB18030
@example(("cp949", ["결제완료", "폐렴"]))
@example(("big5", ["評價"]))
@example(("gb18030", ["评价", "肺炎"]))
def test_words_of_a_language_are_told_or_left_open_and_never_another(file: tuple[str, list[str]]) -> None:
    encoding, labels = file
    fitting = fitting_encodings(lines_of(labels, encoding))
    assert len(fitting) > 1 or fitting in ([encoding], [])


@pytest.mark.parametrize("encoding", WORDS)
def test_a_file_of_all_words_is_told(encoding: str) -> None:
    assert fitting_encodings(lines_of(WORDS[encoding].split(), encoding)) == [encoding]


@pytest.mark.parametrize("encoding", WORDS)
def test_a_damaged_line_among_many_changes_nothing(encoding: str) -> None:
    lines = lines_of(WORDS[encoding].split(), encoding)
    assert fitting_encodings([*lines, b"9,i/9.jpg,\xff\xfe\xff"]) == [encoding]


OTHERS = {
    "cp1251": "Пятница|Выберите записи для удаления|Добавить в корзину|Страница товара|Заказ оплачен|Чек",
    "koi8_r": "Пятница|Выберите записи для удаления|Добавить в корзину|Страница товара|Заказ оплачен|Чек",
    "cp866": "Пятница|Выберите записи для удаления|Добавить в корзину|Страница товара|Заказ оплачен|Чек",
    "cp1252": "Booléen (vrai ou faux)|Modèle épuisé|Größe wählen|Niño pequeño|Ærøskøbing|Maçã",
    "cp1250": "Wielokąt|Określa czy użytkownik może się zalogować|Łódź|Přidat do košíku|Žluťoučký kůň",
    "mac_roman": "Macédonien|Fenêtre de débogage|Août|Barre latérale|Déjà payé|L’équipe",
    "cp874": "บันทึกและเพิ่ม|ลืมรหัสผ่านหรือชื่อผู้ใช้ของคุณหรือไม่|เคลียร์ตัวเลือก|ขณะนี้",
    "cp1256": "عنوان بريد إلكتروني|العنصر غير موجود|سلة المشتريات|الدفع",
    "cp1255": "אחר הצהריים|עגלת קניות|נא לבחור פריט|תשלום",
    "cp1253": "Κλείσιμο παραθύρου|Καλάθι αγορών|Η παραγγελία ολοκληρώθηκε",
    "johab": "장바구니 화면|주문 내역|반품 신청|상품상세 정보",
}


@given(
    st.sampled_from(sorted(OTHERS)).flatmap(
        lambda name: st.tuples(
            st.just(name), st.lists(st.sampled_from(OTHERS[name].split("|")), min_size=1, max_size=20)
        )
    )
)
@settings(max_examples=300, deadline=None)
def test_texts_in_encodings_of_elsewhere_are_never_taken_for_one_known_here(
    file: tuple[str, list[str]],
) -> None:
    encoding, labels = file
    fitting = fitting_encodings(lines_of(labels, encoding))
    assert len(fitting) != 1


@given(
    st.lists(
        st.sampled_from(
            ["正常", "肺炎", "骨折", "注文", "返品", "商品詳細", "検索結果", "配送", "住所", "領収書", "良性"]
        ),
        min_size=1,
    )
)
@settings(max_examples=200, deadline=None)
def test_japanese_without_kana_in_euc_jp_is_never_taken_for_chinese(labels: list[str]) -> None:
    fitting = fitting_encodings(lines_of(labels, "euc_jp"))
    assert fitting == ["euc_jp"] or len(fitting) != 1


@pytest.mark.parametrize(
    ("encoding", "signs"), [("big5hkscs", "嘅 啲 咗 嚟 喺 瞓 啱"), ("euc_jis_2004", "① ② ㈱ № ㌔ Ⅲ")]
)
def test_signs_beyond_an_encoding_name_the_wider_one_of_its_family(encoding: str, signs: str) -> None:
    words = WORDS["big5" if encoding == "big5hkscs" else "euc_jp"].split()
    assert fitting_encodings(lines_of([*words, *signs.split()], encoding)) == [encoding]


def test_text_that_fits_two_encodings_is_left_open_with_both() -> None:
    fitting = fitting_encodings(["1,i/1.jpg,쿠폰".encode("cp949")])
    assert {"cp949", "gb18030"} <= set(fitting)


def test_bytes_of_no_such_language_fit_none() -> None:
    assert (
        fitting_encodings([f"{word},x".encode("latin-1") for word in ("naïve", "café", "Ærøskøbing")]) == []
    )


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize(
    "text", ["id,label\n1,购物车\n", '{"id": "1"}\n', "{% for x in y %}类别？{% endfor %}\n"]
)
def test_unicode_is_told_by_its_mark_or_its_zero_bytes(encoding: str, text: str, tmp_path: Path) -> None:
    assert decoded(text.encode(encoding), tmp_path) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_whose_bytes_are_all_ascii_is_told(encoding: str) -> None:
    assert marked_encoding("id,label\n0,登录\n1,登录\n2,登录\n".encode(encoding)) == encoding


@pytest.mark.parametrize("data", [b'{"a": "\0\0\0"}\n', b"\0" * 40, b"id,label\n1,\0x\0\n", b""])
def test_zero_bytes_in_plain_text_are_no_utf_16(data: bytes) -> None:
    assert marked_encoding(data) is None


@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), max_size=200))
@settings(deadline=None)
def test_text_in_utf_8_is_what_it_was(text: str) -> None:
    text = f"数据 {text}"
    if marked_encoding(text.encode()) is None:
        assert decoded(text.encode(), Path("x")) == text


@pytest.mark.parametrize(
    "text",
    [
        "été à Paris",
        "5 µm · 20 °C ± 1",
        "Größe: 5 ×",
        "Привет",
        "a",
        "",
        "name: ñandú",
        "да",
        "Эй",
        "ője",
        "és",
    ],
)
def test_other_languages_in_utf_8_are_read(text: str) -> None:
    assert decoded(text.encode(), Path("x")) == text


def test_a_word_of_gb18030_that_is_valid_utf_8_is_left_open() -> None:
    with pytest.raises(UserError, match="may be in utf-8 or in gb18030"):
        decoded("labels: [女装]".encode("gb18030"), Path("labels.yaml"))


def test_a_file_that_is_hardly_utf_8_can_say_that_it_is() -> None:
    text = "labels: [女装]".encode("gb18030").decode()
    with pytest.raises(UserError) as caught:
        decoded(text.encode(), Path("labels.yaml"), "the label file")
    assert (
        caught.value.remedy
        == "Save the label file as UTF-8, with a byte order mark if it is UTF-8 as it stands."
    )
    assert decoded(text.encode("utf-8-sig"), Path("labels.yaml")) == text


@pytest.mark.parametrize("encoding", WORDS)
def test_a_line_of_utf_8_in_a_file_of_an_old_encoding_is_seen(encoding: str) -> None:
    strange = "9,i/9.jpg,购物车页面的商品".encode()
    read = strange.decode(codec_of(encoding), "replace")
    assert "\ufffd" in read or strange_place(read, encoding) >= 0 or is_foreign(read, encoding)
    for line in lines_of(WORDS[encoding].split(), encoding):
        assert not is_foreign(line.decode(codec_of(encoding)), encoding)


@pytest.mark.parametrize(("encoding", "text"), [("iso2022_jp", "注文画面です"), ("iso2022_kr", "주문 화면")])
def test_escape_sequences_say_their_encoding(encoding: str, text: str) -> None:
    assert decoded(f"a: {text}\n".encode(encoding), Path("x")) == f"a: {text}\n"


@pytest.mark.parametrize("encoding", ["hz", "utf-7"])
def test_a_template_that_is_plain_text_in_disguise_is_refused(encoding: str) -> None:
    with pytest.raises(UserError, match=f"is hardly UTF-8; it may be in utf-8 or in {encoding}"):
        decoded("购物车页面的类别\n".encode(encoding), Path("x.j2"))


def test_a_file_that_cannot_be_told_is_named_with_its_byte_and_remedy() -> None:
    with pytest.raises(UserError) as caught:
        decoded("a: 1\nb: 狗\n".encode("gb18030"), Path("templates/x.j2"), "the template")
    assert "templates/x.j2 is not UTF-8 (byte 9, line 2); it may be in" in str(caught.value)
    assert caught.value.remedy == "Save the template as UTF-8."


@pytest.mark.parametrize(
    ("name", "said"),
    [("GBK", "gb18030"), ("Big5", "big5"), ("sjis", "shift_jis"), ("euc-kr", "cp949"), ("UTF8", "utf-8")],
)
def test_an_encoding_has_one_name_here(name: str, said: str) -> None:
    assert known_encoding(name) == name
    assert said_encoding(name) == said


@pytest.mark.parametrize("name", ["utf-9", "rot13", "base64", ""])
def test_a_name_that_is_no_encoding_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no encoding; some are utf-8"):
        known_encoding(name)


@pytest.mark.parametrize("text", ["id,label\n1,été\n", "café\n", "über", "à la carte, café", "5 µm ± 2°"])
def test_western_letters_in_words_are_utf8(text: str) -> None:
    assert decoded(text.encode(), Path("labels.csv")) == text


@pytest.mark.parametrize("sign", ["猫", "茅", "眉"])
def test_a_sign_that_is_a_western_letter_by_itself_is_asked_about(sign: str) -> None:
    with pytest.raises(UserError, match=r"it may be in .*gb18030"):
        decoded(f"id,label\n1,{sign}\n".encode("gb18030"), Path("labels.csv"))

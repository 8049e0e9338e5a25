"""Screens of a shop app as OCR reads them, with personal data planted in them and what looks like it.

Every value is made up by a seeded generator: check digits are right, nobody's data is in it. Each screen is a
list of lines; OCR's faults are laid over them: full-width signs, O for 0, l for 1, spaces in numbers,
addresses over two lines, spaces lost between neighbours.
"""

# ruff: noqa: E501 (a Chinese sign counts for two)
from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

SURNAMES = (
    ["王", "李", "张", "刘", "陈"] * 7
    + ["杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "林", "郭", "何", "高", "罗"] * 3
    + list(
        "郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘田董袁于余叶蒋杜苏魏程吕丁沈任姚卢傅钟姜崔谭廖范汪陆金石戴贾韦夏邱方侯邹熊孟秦白江阎薛尹段雷黎史龙陶贺顾毛郝龚邵"
    )
    + list(
        "万钱严覃武莫孔向汤温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁麦计应"
    )
    + ["欧阳", "上官", "司马", "诸葛", "东方"]
)
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红梅鑫宇浩轩子涵梓睿欣怡雨泽思远晨曦佳琪嘉豪雅婷俊凯文博志鹏海燕建国春兰小龙天翔心悦可馨家宁一诺若曦国庆长江云飞晓东"
REGIONS = [
    ("浙江省", "杭州市", "西湖区"), ("广东省", "深圳市", "南山区"), ("江苏省", "苏州市", "姑苏区"), ("四川省", "成都市", "武侯区"),
    ("北京市", "", "朝阳区"), ("上海市", "", "浦东新区"), ("湖北省", "武汉市", "洪山区"), ("山东省", "青岛市", "市南区"),
    ("河南省", "郑州市", "金水区"), ("福建省", "厦门市", "思明区"), ("湖南省", "长沙市", "岳麓区"), ("陕西省", "西安市", "雁塔区"),
    ("辽宁省", "大连市", "中山区"), ("重庆市", "", "渝北区"), ("安徽省", "合肥市", "蜀山区"), ("江西省", "赣州市", "于都县"),
    ("广西壮族自治区", "南宁市", "青秀区"), ("新疆维吾尔自治区", "乌鲁木齐市", "天山区"), ("河北省", "石家庄市", "正定县"), ("云南省", "大理白族自治州", "大理市"),
]  # fmt: skip
ROADS = [
    "文三路",
    "中山北路",
    "解放大道",
    "人民东路",
    "科技园路",
    "建设街",
    "长江西路",
    "和平里",
    "新华巷",
    "学院路",
    "迎宾大道",
    "朝阳北大街",
    "滨河南路",
    "育才路",
    "七宝镇漕宝路",
    "王府井大街",
]
ESTATES = [
    "阳光花园",
    "万科城市花园",
    "金地名邸",
    "锦绣家园",
    "碧桂园小区",
    "翠湖苑",
    "保利公寓",
    "恒大华府",
    "东方明珠大厦",
    "幸福里小区",
    "龙湖天街",
    "新世界广场",
]
AREAS = ["110105", "330106", "440305", "320508", "510107", "310115", "420111", "370202", "410105", "350203"]
BINS = ["622202", "621700", "622848", "621661", "625959", "456351", "532458", "620522", "622588", "436742"]
CARRIERS = [("SF", 13), ("YT", 13), ("JT", 13), ("JDVA", 11), ("DPK", 12)]
PROVINCES = "京沪粤浙苏鲁川渝鄂豫湘闽皖冀"


@dataclass
class Screen:
    """Lines, and what is planted in them: kind, and start and end in the lines as one text."""

    lines: list[str] = field(default_factory=list)
    planted: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Planter:
    """Makes screens out of a seed."""

    def __init__(self, seed: int, noise: float = 0.5) -> None:
        self.random, self.noise = random.Random(seed), noise

    def screen(self) -> Screen:
        """One screen: a few blocks of personal data and of what looks like it."""
        screen = Screen()
        blocks = self.random.sample(self._blocks(), k=self.random.randint(2, 4))
        blocks += self.random.sample(self._decoys(), k=self.random.randint(3, 6))
        self.random.shuffle(blocks)
        for block in blocks:
            block(screen)
        return screen

    def _blocks(self) -> list[Callable[[Screen], None]]:
        return [
            self._delivery,
            self._card,
            self._identity,
            self._courier,
            self._mail,
            self._car,
            self._chat,
            self._call,
            self._english,
        ]

    def _decoys(self) -> list[Callable[[Screen], None]]:
        return [
            self._order,
            self._prices,
            self._times,
            self._codes,
            self._shop,
            self._places,
            self._masked,
            self._words,
            self._licence,
        ]

    def _add(self, screen: Screen, pattern: str, **values: tuple[str, str]) -> None:
        """A line, `{0}` standing for a planted value; decoys have the kind ""."""
        texts = {
            name: f"\1{kind}\2{self._noisy(kind, value)}\3" if kind else value
            for name, (kind, value) in values.items()
        }
        line = pattern.format(**texts)
        if self._chance(0.25):
            line = line.replace("：", self.random.choice([":", " ", "： "]))
        at = len(screen.text) + bool(screen.lines)
        plain = ""
        for piece in re.split(r"(\x01[a-z_]+\x02[^\x03]*\x03)", line):
            if piece.startswith("\1"):
                kind, piece = piece[1:-1].split("\2")
                screen.planted.append((kind, at + len(plain), at + len(plain) + len(piece)))
            plain += piece
        screen.lines += plain.split("\n")

    def _noisy(self, kind: str, value: str) -> str:
        if kind in ("phone", "id_number", "bank_card", "courier") and self._chance(self.noise):
            choice = self.random.randrange(4)
            if choice == 0:
                value = "".join(
                    self.random.choice("Oo") if sign == "0" and self._chance(0.5) else sign for sign in value
                )
            elif choice == 1:
                value = "".join(
                    self.random.choice("lI") if sign == "1" and self._chance(0.4) else sign for sign in value
                )
            elif choice == 2:
                value = "".join(chr(ord(sign) + 0xFEE0) if sign.isdigit() else sign for sign in value)
            elif " " not in value and "-" not in value:
                at = self.random.randint(3, len(value) - 3)
                value = f"{value[:at]} {value[at:]}"
        if kind == "email" and self._chance(self.noise / 2):
            value = (
                value.replace("@", self.random.choice([" @", "@ ", "＠"]))
                if self._chance(0.5)
                else value.replace(".", " .")
            )
        if kind == "address" and self._chance(self.noise):
            at = self.random.randint(len(value) // 2, len(value) - 3)
            value = f"{value[:at]}\n{value[at:]}" if self._chance(0.6) else f"{value[:at]} {value[at:]}"
        return value

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _digits(self, count: int) -> str:
        return "".join(self.random.choice("0123456789") for _ in range(count))

    def name(self) -> str:
        count = 1 if self._chance(0.25) else 2
        return self.random.choice(SURNAMES) + "".join(self.random.choice(GIVEN) for _ in range(count))

    def phone(self) -> str:
        number = self.random.choice(["13", "15", "17", "18", "19"]) + self._digits(9)
        form = self.random.randrange(6)
        if form == 1:
            return f"{number[:3]} {number[3:7]} {number[7:]}"
        if form == 2:
            return f"{number[:3]}-{number[3:7]}-{number[7:]}"
        return f"+86 {number}" if form == 3 else number

    def landline(self) -> str:
        return (
            self.random.choice(["010-", "021-", "0755-", "(0571)", "028 "])
            + self.random.choice("2345678")
            + self._digits(7)
        )

    def identity(self) -> str:
        year, month, day = (
            self.random.randint(1950, 2010),
            self.random.randint(1, 12),
            self.random.randint(1, 28),
        )
        body = f"{self.random.choice(AREAS)}{year}{month:02d}{day:02d}{self._digits(3)}"
        weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
        return body + "10X98765432"[sum(int(a) * b for a, b in zip(body, weights, strict=True)) % 11]

    def card(self) -> str:
        prefix = self.random.choice(BINS)
        body = prefix + self._digits((19 if prefix[0] == "6" and self._chance(0.6) else 16) - 7)
        total = sum(
            sum(divmod(int(digit) * (2 if at % 2 == 0 else 1), 10)) for at, digit in enumerate(reversed(body))
        )
        number = body + str(-total % 10)
        return (
            " ".join(number[at : at + 4] for at in range(0, len(number), 4)) if self._chance(0.5) else number
        )

    def address(self) -> str:
        province, city, district = self.random.choice(REGIONS)
        region = (province + city if self._chance(0.7) else city or province) + district
        road = f"{self.random.choice(ROADS)}{self.random.randint(1, 999)}号"
        estate = f"{self.random.choice(ESTATES)}{self.random.randint(1, 30)}{self.random.choice(['栋', '号楼', '幢', '座'])}"
        unit = f"{self.random.randint(1, 4)}单元" if self._chance(0.5) else ""
        room = f"{self.random.randint(1, 33)}{self.random.randint(1, 4):02d}{self.random.choice(['室', '', '号'])}"
        form = self.random.randrange(4)
        if form == 0:
            return f"{region}{road}{estate}{unit}{room}"
        if form == 1:
            return f"{region} {estate}{unit}{room}"
        return (
            f"{region}{road}{unit}{room}"
            if form == 2
            else f"{region}{self.random.choice(ROADS)}{self.random.choice(ESTATES)}{unit or '1单元'}{room}"
        )

    def _delivery(self, screen: Screen) -> None:
        name, phone, address = ("name", self.name()), ("phone", self.phone()), ("address", self.address())
        pattern = self.random.choice(
            [
                "收货人：{a}  {b}\n收货地址：{c}",
                "{a} {b}\n{c}",
                "收件人：{a}\n联系电话：{b}\n{c}",
                "联系人 {a}\n手机号码 {b}\n地址 {c}",
                "配送至：{c}\n{a} {b}",
                "寄件人{a} 电话{b} 地址：{c}",
            ]
        )
        self._add(screen, pattern, a=name, b=phone, c=address)

    def _card(self, screen: Screen) -> None:
        self._add(
            screen,
            self.random.choice(["持卡人：{a} 卡号：{b}", "银行卡 {b}\n户名：{a}", "收款人 {a}\n账号 {b}"]),
            a=("name", self.name()),
            b=("bank_card", self.card()),
        )

    def _identity(self, screen: Screen) -> None:
        self._add(
            screen,
            self.random.choice(["姓名：{a}\n身份证号：{b}", "乘车人 {a} {b}", "实名认证：{a}，证件号码{b}"]),
            a=("name", self.name()),
            b=("id_number", self.identity()),
        )

    def _courier(self, screen: Screen) -> None:
        letters, count = self.random.choice(CARRIERS)
        if self._chance(0.5):
            self._add(
                screen,
                self.random.choice(["运单号：{a}", "{a} 复制", "顺丰速运 {a}"]),
                a=("courier", letters + self._digits(count)),
            )
        else:
            number = self.random.choice(["77", "43", "75", "98"]) + self._digits(12)
            self._add(
                screen,
                self.random.choice(["快递单号：{a}", "中通快递 {a}", "物流单号 {a} 复制"]),
                a=("courier", number),
            )

    def _mail(self, screen: Screen) -> None:
        user = "".join(
            self.random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(self.random.randint(4, 9))
        ) + self._digits(2)
        host = self.random.choice(
            ["qq.com", "163.com", "gmail.com", "sina.com.cn", "outlook.com", "foxmail.com"]
        )
        self._add(
            screen,
            self.random.choice(["电子邮箱：{a}", "发票将发送至{a}", "邮箱 {a}"]),
            a=("email", f"{user}@{host}"),
        )

    def _car(self, screen: Screen) -> None:
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        place = (
            self.random.choice(PROVINCES)
            + self.random.choice("ABCDEFGH")
            + self.random.choice(["", "·", " "])
        )
        number = (
            self.random.choice("DF") + self._digits(5)
            if self._chance(0.4)
            else self.random.choice(letters) + self._digits(4)
        )
        self._add(
            screen,
            self.random.choice(["车牌号：{a}", "司机{b}师傅 {a}", "{a} 白色 比亚迪"]),
            a=("plate", place + number),
            b=("name", self.random.choice("王李张刘陈")),
        )

    def _chat(self, screen: Screen) -> None:
        title = self.random.choice(["先生", "女士", "小姐"])
        who = (
            self.name()
            if self._chance(0.5)
            else self.random.choice([one for one in SURNAMES if len(one) == 1])
        )
        pattern = self.random.choice(
            [
                "尊敬的{a}" + title + "，您好",
                "{a}" + title + "您的快递已到",
                "客户{a}" + title + "申请退款",
                "您好，{a}" + title,
            ]
        )
        self._add(screen, pattern, a=("name", who))

    def _call(self, screen: Screen) -> None:
        self._add(
            screen,
            self.random.choice(["联系电话：{a}", "座机：{a}", "电话 {a}"]),
            a=("phone", self.landline()),
        )

    def _english(self, screen: Screen) -> None:
        name = f"{self.random.choice(['John', 'Mary', 'Wei', 'Anna', 'David'])} {self.random.choice(['Smith', 'Zhang', 'Brown', 'Miller', 'Wang'])}"
        pattern = self.random.choice(["Ship to: {a}\nPhone: {b}", "Mr. {a}  {b}", "Recipient: {a}\nTel: {b}"])
        self._add(
            screen,
            pattern,
            a=("name", name),
            b=(
                "phone",
                self.random.choice(
                    [
                        f"+1 415-555-{self._digits(4)}",
                        f"+44 20 7946 {self._digits(4)}",
                        f"+852 9{self._digits(3)} {self._digits(4)}",
                    ]
                ),
            ),
        )

    def _order(self, screen: Screen) -> None:
        number = self.random.choice(
            [
                self._digits(19),
                "2024" + self._digits(14),
                "1" + self.random.choice("3578") + self._digits(9),
                "4" + self._digits(15),
            ]
        )
        self._add(
            screen,
            self.random.choice(["订单编号：{a}", "订单号 {a} 复制", "交易流水号：{a}", "Order No. {a}"]),
            a=("", number),
        )

    def _prices(self, screen: Screen) -> None:
        self._add(
            screen,
            self.random.choice(["¥{a} 已售{b}", "￥{a}.00 券后{b}", "{a} {b} {c}"]),
            a=("", str(self.random.randint(1, 9999))),
            b=("", str(self.random.randint(1000, 9999))),
            c=("", str(self.random.randint(100, 999))),
        )

    def _times(self, screen: Screen) -> None:
        self._add(
            screen,
            self.random.choice(
                [
                    "下单时间：2024-{a}-1{b} 13:4{b}:2{b}",
                    "时间戳 17{c}",
                    "2024年1{b}月2{b}日 18:3{b}",
                    "活动时间 11.{b}-11.1{b}",
                ]
            ),
            a=("", f"1{self.random.randint(0, 2)}"),
            b=("", str(self.random.randint(0, 2))),
            c=("", self._digits(11)),
        )

    def _codes(self, screen: Screen) -> None:
        self._add(
            screen,
            self.random.choice(
                [
                    "条形码 69{a}",
                    "货号：{b}",
                    "版本 10.3{b}.12",
                    "取件码 {c}-{c}-88",
                    "商品编号：1000{b}",
                    "型号 SM-G{b}",
                ]
            ),
            a=("", self._digits(11)),
            b=("", self._digits(6)),
            c=("", self._digits(2)),
        )

    def _shop(self, screen: Screen) -> None:
        screen.lines.append(
            self.random.choice(
                [
                    "客服先生为您服务",
                    "李先生牛肉面大王",
                    "康师傅红烧牛肉面",
                    "周大福官方旗舰店",
                    "李宁运动旗舰店",
                    "时尚女士手提包",
                    "高端女士香水",
                    "商务男士皮带 成熟先生",
                    "王老吉凉茶 24罐",
                    "张小泉菜刀",
                    "商家客服在线",
                    "联系商家",
                    "卖家已发货",
                    "Dr. Martens 马丁靴",
                    "Miss Dior 香水",
                    "联系人工客服",
                ]
            )
        )

    def _places(self, screen: Screen) -> None:
        screen.lines.append(
            self.random.choice(
                [
                    "发货地 浙江杭州",
                    "广东深圳 48小时内发货",
                    "3号楼下自提",
                    "5楼 男装部",
                    "地铁2号线人民广场站",
                    "西湖区 热销榜第3名",
                    "12号仓发货",
                    "一层 化妆品",
                    "杭州市 天气晴",
                    "第3单元 练习",
                    "新疆西藏除外 全国包邮",
                ]
            )
        )

    def _masked(self, screen: Screen) -> None:
        screen.lines.append(
            self.random.choice(
                [
                    "手机尾号 8765",
                    "138****5678",
                    "张** 186****1234",
                    "尾号1234的储蓄卡",
                    "客服热线 400-820-8820",
                    "拨打95533",
                    "6222 **** **** 0128",
                    "10086",
                    "400 800 1234",
                ]
            )
        )

    def _words(self, screen: Screen) -> None:
        screen.lines.append(
            self.random.choice(
                [
                    "全部订单 待付款 待发货 待收货",
                    "高级会员 安全保障",
                    "logo@2x.png",
                    "收货人信息请填写完整",
                    "请输入联系人姓名",
                    "姓名 必填",
                    "选择收件人",
                    "方便面 12袋装",
                    "关于我们 联系我们",
                    "单价 数量 金额",
                    "SF穿越火线 道具",
                    "满200减20 满300减40",
                    "库存 12345678 件",
                    "1 2 3 4 5 6 7 8 9 10 11",
                ]
            )
        )

    def _licence(self, screen: Screen) -> None:
        self._add(
            screen,
            self.random.choice(
                [
                    "浙ICP备{a}号",
                    "京公网安备1101050{b}号",
                    "浙B2-2008{c}",
                    "统一社会信用代码 91330100{a}X{b}",
                    "新A{c}系列 新品",
                ]
            ),
            a=("", self._digits(8)),
            b=("", self._digits(7)),
            c=("", self._digits(4)),
        )

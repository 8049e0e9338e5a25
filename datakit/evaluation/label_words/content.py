"""Whether a word is what a picture happens to be about: a name, a date, an amount, a place, a product.

A label file says what a class looks like, so it must not say whose order it was. Most content never gets
here: `screens` takes only what stands alone on a line, without digits, and not as the value after a colon.
What is left is told by its form, in classes that Chinese closes: names of persons are a surname and signs
that given names are made of, names of shops and hospitals and streets end with what they are, dates and
amounts are numerals with a measure. What has only `_GENERIC` in front of it names none: 进店, 选择医院.
"""

from __future__ import annotations

import re

_SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔"
    "钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_DOUBLE_SURNAMES = ("欧阳", "上官", "司马", "诸葛", "司徒", "皇甫", "东方", "夏侯", "尉迟", "慕容")
_GIVEN = frozenset(
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛超秀霞平刚桂英华玉兰红梅燕玲丹萍鹏辉斌波宁浩宇轩涵欣怡佳雪婷婉琳琪瑶倩颖莹慧淑珍"
    "凤春菊香云莲建国志文明德福贵荣永海山峰峻岭龙虎俊豪杰凯旋晨曦阳旭东南北思雨梦诗雅诺子墨梓睿博天昊泽楠森林柏松竹青"
    "翔飞毅恒康健安乐嘉瑞祥庆祖光耀兴旺家仁义礼智信忠孝廉卫民振良金银铁钢炎晓小丫丫妮美娇媛婧妍蕾薇蓉芬芸茜莎莉"
)
_TITLES = (
    "先生",
    "女士",
    "小姐",
    "同学",
    "老师",
    "医生",
    "医师",
    "大夫",
    "主任",
    "护士",
    "师傅",
    "教授",
    "经理",
)
_NUMERALS = "零〇一二三四五六七八九十百千万亿两半几数多第"
_MEASURES = (
    "件套|公斤|千克|毫升|厘米|毫米|小时|分钟|单元|件|个|只|条|双|套|盒|箱|包|瓶|斤|克|米|寸|码|元|块|角|折|人|次|天|日|月|年|"
    "周|层|楼|期|分|升|份|支|张|台|部|本|对|袋|罐|片|枚|根|颗|粒|级|款|代|岁|位|名|家|间|栋|室|号|时|点|秒|装"
)
_AMOUNT = re.compile(rf"(?:[{_NUMERALS}]+(?:{_MEASURES}))+(?:装|前|后|内)?|[{_NUMERALS}]+")
_CALENDAR = re.compile(
    r"(?:今|昨|前|明|后|当)[天日晚早]|(?:本|上|下)?(?:周|星期|礼拜)[一二三四五六日天末]|[上中下]午|凌晨|傍晚|晚上|早上|"
    r"(?:分钟|小时|[天周月年])[前后内]|刚刚|[大初]?年[初末]?[一二三四五六七八九十]|.*(?:春节|元旦|元宵|清明|五一|端午|七夕|"
    r"中秋|国庆|重阳|双十[一二]|圣诞|跨年|除夕|年货|新年|周年|母亲|父亲|情人|妇女|劳动|儿童)(?:节|庆|价|特惠|大促)?"
)
_GENERIC = re.compile(
    r"(?:我的|您的|你的|他的|本|该|此|所在|选择|请选择|选|其他|其它|全部|所有|附近|热门|推荐|官方|当前|更多|切换|收货|发货|配送|"
    r"寄件|收件|取件|就诊|就医|预约|申请|进入|进|到|在|去|逛|回|关注|收藏|查看|查|搜索|搜|联系|新|老|好|品牌|同城|线上|线下|实体|"
    r"自营|连锁|绑定|解绑|更换|修改|验证|填写|输入|退货|退款|换货|开户|发卡|收款|付款|支付|转账|返回|分享|举报|投诉|评价|服务|"
    r"订单|商品|商家|卖家|买家|平台|客服|会员|优惠|专属|限时|检查|送检|申请|报告|审核|主治|经治|开单|执行|门诊|住院|临床|互联网|"
    r"新建|添加|删除|管理|设置|默认|常用|最近|历史|不同|相同|同一|指定|对应|任意|一键|请|无|有|的|个人|企业|公司|智能|人工)+"
)
_ENDINGS = (
    *(
        "旗舰店",
        "专卖店",
        "专营店",
        "工厂店",
        "小铺",
        "生活馆",
        "店",
        "商行",
        "公司",
        "集团",
        "医院",
        "诊所",
        "卫生院",
    ),
    *(
        "药房",
        "药店",
        "大学",
        "学院",
        "中学",
        "小学",
        "幼儿园",
        "银行",
        "支行",
        "分行",
        "超市",
        "酒店",
        "宾馆",
        "餐厅",
    ),
    *(
        "饭店",
        "工作室",
        "出版社",
        "事务所",
        "研究所",
        "研究院",
        "门诊部",
        "体检中心",
        "医学中心",
        "转运中心",
        "营业部",
    ),
    *("附院", "分院", "总院", "保健院", "中心医", "科技", "速运", "快运", "物业"),
    *(
        "自治区",
        "省",
        "市",
        "县",
        "镇",
        "乡",
        "街道",
        "大道",
        "路",
        "街",
        "巷",
        "胡同",
        "小区",
        "花园",
        "公寓",
        "大厦",
    ),
    *("广场", "机场", "车站", "家园", "雅苑", "新村", "国际城", "号楼", "区"),
)
"""What shops, firms, institutions and places are called at the end of their names."""
_GOODS = (
    *(
        "手机",
        "耳机",
        "电脑",
        "平板",
        "笔记本",
        "相机",
        "充电器",
        "充电宝",
        "数据线",
        "充电线",
        "键盘",
        "鼠标",
        "显示器",
    ),
    *(
        "音箱",
        "音响",
        "手表",
        "手环",
        "路由器",
        "打印机",
        "投影仪",
        "手机壳",
        "保护壳",
        "钢化膜",
        "硬盘",
        "显卡",
        "主板",
    ),
    *(
        "电视",
        "冰箱",
        "空调",
        "洗衣机",
        "吸尘器",
        "吹风机",
        "电饭煲",
        "空气炸锅",
        "台灯",
        "摄像头",
        "移动电源",
        "内存条",
    ),
    *(
        "裤",
        "裙",
        "袜",
        "外套",
        "衬衫",
        "卫衣",
        "毛衣",
        "上衣",
        "羽绒服",
        "运动鞋",
        "高跟鞋",
        "凉鞋",
        "拖鞋",
        "板鞋",
    ),
    *(
        "双肩包",
        "书包",
        "口红",
        "面膜",
        "洗面奶",
        "纸巾",
        "奶粉",
        "零食",
        "水果",
        "牛奶",
        "家具",
        "书桌",
        "床单",
    ),
)
"""Nouns at the end of a product's title."""
_NO_NAMES = frozenset(
    (  # noqa: SIM905 (a word a line would be a page)
        "门店|网店|商店|书店|返店|店|城市|上市|门市|夜市|股市|市|区|专区|地区|社区|"
        "园区|分区|战区|时区|评论区|评价区|问答区|线路|网路|道路|思路|铁路|逛街|省|"
        "节省|县|乡|镇|公司|集团|医院|诊所|大学|学院|银行|超市|酒店|药房|药店|机场|"
        "车站|广场|小区|街道|高科技"
    ).split("|")
)
"""What ends so and names no one: a class of things, as menus have it."""
_KINDS = re.compile(
    r"(?:手机|电脑|数码|家电|服饰|女装|男装|女鞋|男鞋|童装|鞋包|鞋靴|美妆|护肤|食品|生鲜|母婴|玩具|图书|箱包|家纺|家居|百货|运动|户外|珠宝|钟表|"
    r"宠物|汽车|家用|电器|办公|个护|清洁|日用|用品|配件|酒水|饮料){1,3}"
)
"""Kinds of goods: what is sold, wherever it is sold."""
_PLACES = re.compile(
    r".{0,2}(?:北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|"
    r"甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门|广州|深圳|杭州|南京|武汉|成都|西安|苏州|厦门|青岛|大连|沈阳|长沙|郑州|合肥|"
    r"福州|济南|昆明|南昌|宁波|无锡|佛山|东莞|义乌|温州|泉州|哈尔滨|长春|石家庄|太原|南宁|贵阳|海口|兰州|银川|西宁|拉萨|乌鲁木齐|"
    r"呼和浩特|协和|华西|湘雅|同济).{0,4}"
)
_COURIERS = re.compile(r".*(?:顺丰|中通|圆通|申通|韵达|极兔|邮政|德邦|百世|菜鸟|京东|安能|丹鸟).*")
_BRANDS = re.compile(
    r".*(?:华为|荣耀|小米|红米|苹果|三星|联想|戴尔|惠普|索尼|佳能|尼康|大疆|魅族|一加|真我|努比亚|美的|格力|海尔|海信|飞利浦|松下|"
    r"耐克|阿迪|安踏|李宁|优衣库|欧莱雅|雅诗兰黛|兰蔻|伊利|蒙牛|茅台).*"
)
_COLOURS = re.compile(r".{0,3}[黑白红蓝绿黄灰紫棕橙]|.{1,3}[色款]|[大中小特加超均]+[号码]")
_NO_COLOURS = re.compile(
    r".*(?:颜色|特色|角色|配色|花色|空白|表白|明白|拉黑|分红|标红|留白|自白|[付货退贷借条存同打汇收补罚扣还尾钱新]款)"
)


def is_content(word: str) -> bool:
    """Whether a word, of Chinese signs or Latin letters, names a person, a place, a date, goods or amounts.

    >>> [word for word in ("退货地址", "选择医院", "协和医院", "王建国", "蓝牙耳机") if is_content(word)]
    ['协和医院', '王建国', '蓝牙耳机']
    """
    if any(pattern.fullmatch(word) for pattern in (_KINDS, _AMOUNT, _CALENDAR, _PLACES, _COURIERS, _BRANDS)):
        return True
    if _COLOURS.fullmatch(word) and not _NO_COLOURS.fullmatch(word):
        return True
    return _is_person(word) or _is_named(word)


def _is_named(word: str) -> bool:
    """Whether it ends with what it is, behind a stem of its own: 拾味优品店, 翠湖小区."""
    rests = [word[: -len(name)] for name in _NO_NAMES if word.endswith(name)]
    if any(not rest or _GENERIC.fullmatch(rest) for rest in rests):
        return False
    stems = [word[: -len(ending)] for ending in _ENDINGS if word.endswith(ending)]
    goods = [word[: -len(ending)] for ending in _GOODS if word.endswith(ending)]
    return any(stem and not _GENERIC.fullmatch(stem) for stem in stems) or any(
        not _GENERIC.fullmatch(stem) for stem in goods
    )


def _is_person(word: str) -> bool:
    surname = next((name for name in _DOUBLE_SURNAMES if word.startswith(name)), word[:1])
    rest = word[len(surname) :]
    if surname not in _SURNAMES and len(surname) == 1:
        return False
    if rest in _TITLES or any(rest.endswith(title) and len(rest) <= len(title) + 2 for title in _TITLES):
        return True
    return 1 <= len(rest) <= 2 and all(sign in _GIVEN for sign in rest)

"""Words by which names are told from what only looks like one."""

from __future__ import annotations

_SURNAMES = """

王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖萧田董袁潘于蒋蔡余杜叶程
苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付傅方白邹孟熊秦邱江尹薛闫阎段雷侯龙史陶黎贺顾毛
郝龚邵万钱严覃武戴莫孔向汤温康施樊葛洪章鲁邢柳岳梅庄毕阮齐牛翟俞詹柯凌安岑霍倪涂颜乔童欧殷
尤辛祝聂焦甘骆裴屈左滕管包柴蒲缪常习靳路蓝关卓苗简鲍宁丘伍谷桑喻饶冉宫申景冷符闵解车耿储游
褚纪项娄舒匡牟佟隋费佘佃占查米池时单成明文华全蔺盛翁房卜阳郁古蒙祁庞兰季尚应曲易鄢危艾葵盖
鞠晏阙谌揭栾濮冼练麦麻逄戚
"""
_TRADITIONAL = (
    "張劉陳楊黃趙吳孫馬羅鄭謝許韓馮鄧蕭蔣餘葉蘇呂盧鍾鐘譚陸賈韋鄒閻賴龍賀顧龔錢嚴湯溫莊畢齊塗顏喬歐聶駱藍寧鳳"
)
_SIMPLIFIED = (
    "张刘陈杨黄赵吴孙马罗郑谢许韩冯邓萧蒋余叶苏吕卢钟钟谭陆贾韦邹阎赖龙贺顾龚钱严汤温庄毕齐涂颜乔欧聂骆蓝宁凤"
)
TO_SIMPLIFIED = str.maketrans(
    f"{_TRADITIONAL}舊貼頭國選續圓榮時間買貨單", f"{_SIMPLIFIED}旧贴头国选续圆荣时间买货单"
)
"""Common surnames, and signs of the words that begin with one and are no name."""
SURNAMES = "".join(_SURNAMES.split()) + _TRADITIONAL
"""Surnames of one sign, the common ones."""
RARE = "时单成明文华全管路常向于解车包简白安金方万武左关甘项查米池房古阳施"
"""Those that begin many other words: before 老师 and the like they are none."""
DOUBLE = "|".join(
    (
        "欧阳|上官|司马|诸葛|东方|皇甫|尉迟|公孙|慕容|司徒|令狐",
        "夏侯|宇文|长孙|端木|百里|轩辕|南宫|西门|独孤|司空",
    )
)
_NOT_NAMES = """
丁香 万千 万家 万能 丘陵 严选 严重 乔丹 习惯 买家 于是 付款 付费 任何 任务 任意 任课
伍佰 何以 何必 何时 何种 余杭 余额 佟年 倪家 傅家 储存 储蓄 全新 全球 全部 关于 关注
冉冉 冷藏 冷链 凌晨 刘备 包括 包装 包邮 匡威 华为 华丽 卓越 单身 卖家 卜蜂 占用 古典
史上 叶子 叶片 吕梁 吴江 周一 周三 周二 周五 周六 周四 周大生 周大福 周年 周日 周末
周生生 周边 周黑鸭 唐装 商家 喻家 夏季 夏日 夏装 姚江 姜茶 娄底 孔雀 孙子 孟婆 宁波
宁静 安全 安心 安装 宋体 客服 宫廷 尤其 屈臣 岳阳 崔州 左侧 左右 常年 常用 常见 庄园
店主 店长 康师 廖若 张家 张小泉 张江 张贴 彭州 徐州 成人 成功 成熟 戴森 房产 房间
掌柜 文明 文艺 方便 方式 方案 方法 施工 时代 时尚 明天 明星 明细 景区 景点 曹县 曾经
朱红 李子柒 李宁 杜绝 杨梅 杭州 林业 林间 查件 查看 查询 柯桥 柳州 柴油 桑叶 梁山
梅花 樊城 欧洲 欧美 武器 武汉 段位 殷勤 毕业 毛利 毛巾 毛重 江南 江小白 江苏 江西
江门 池塘 汤圆 汪清 沈阳 洪水 涂料 温州 温柔 温馨 游客 游戏 滕州 潘多 焦点 熊猫 牛仔
牛奶 牟利 王守义 王牌 王老吉 王者 王致和 班主 田园 申诉 申请 白天 白色 白酒 白领 盛夏
盛大 石头 石油 祝您 祝福 秦岭 程序 程度 程式 章节 童装 童鞋 符合 简单 简约 管理 米面
纪念 罗马 翁源 翟城 老干妈 耿直 聂荣 肖像 胡同 胡庆余 舒服 舒适 苏州 苗条 范围 莫名
葛根 董事 蒋村 蒲公 蓝牙 蓝色 蔡甸 蔺相 薛城 袁州 褚时 覃塘 解决 解答 许可 许多
谢瑞麟 谢谢 谭木 谷物 费用 贺卡 贾汪 赵州 路过
车主 车牌 时间 车辆 车型 车次 辛苦 邓州 邢台 邵阳 邹城 郁金
郑州 郭外 金币 金牌 金色 金额 钟点 钱包 钱款 阮陵 阳光 阳台 陆续 陈克明 陈列 陈旧
陈李济 陈皮 陶瓷 隋朝 雷达 霍山 靳江 韦德 韩国 韩式 韩版 项目 项链 顾客 颜色 饶平
马上 马云 马应龙 马桶 马路 骆驼 高品质 高校 高档 高清 高端 高级 高考 高速 高铁 高颜值
魏县 鲁班 鲍鱼 鲜花 黄山 黄焖 黄牛 黄色 黄金 黎明 齐全 龙头 龙年 龚滩
"""
NOT_NAMES = frozenset(_NOT_NAMES.split())
"""What stands where a name would, and is none: words that begin with a surname, brands, places."""
_ANNOUNCING = """
收件人 收货人 联系人 寄件人 发件人 取件人 签收人 收貨人 提货人 领取人 真实姓名 客户姓名
患者姓名 姓名 持卡人 户名 户主 开户名 收款人 付款人 转账给 法人代表 法定代表人 负责人 乘客
乘车人 乘机人 入住人 预订人 订票人 旅客 购票人 投保人 被保险人 受益人 申请人 报名人 患者
就诊人 实名认证 骑手 配送员 快递员 派件员 揽件员 司机 护士 客户名 客户 业主 租客 房东
学生 家长 考生 员工 经办人 审批人 昵称实名 实名 聯絡人 聯繫人 客戶姓名 客戶 戶名 提貨人
"""
ANNOUNCING = "|".join(sorted(_ANNOUNCING.split(), key=len, reverse=True))
"""What stands before a name."""
TITLES = (
    "先生|女士|小姐|太太|老师|师傅|医生|大夫|律师|经理|主任|同学|阿姨|叔叔|教授|护士|警官|老板|总监"
    "|老師|師傅|醫生|律師|經理|同學|護士|老闆|總監"
)
_NOT_ENGLISH_NAMES = """
Address Avenue Bean Buyer Center Centre Coffee Company Customer Delivery Dior Hotel Inc Ltd Madam
Martens Member Muscle Number Office Order Pepper Phone Right Road Seller Service Shop Sir Sixty
Store Street Support Team User Warehouse
"""
NOT_ENGLISH_NAMES = frozenset(_NOT_ENGLISH_NAMES.split())

"""Words of a screen are told from what the screen happens to be about."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from datakit.evaluation.label_words.content import is_content

ROOT = Path(__file__).resolve().parent.parent.parent.parent
HOSPITALS = "协和医院 上海市第一人民医院 湘雅附院 仁济诊所 康宁卫生院 华西体检中心 朝阳中医院"
DATES = "二〇二六年三月 三月五日 今天 昨天 星期五 周末 上午 国庆节 双十一特惠 年货节 三小时前"
GOODS = (
    "华为手机 蓝牙耳机 笔记本电脑 充电宝 数据线 手机壳 苹果 小米 机械键盘 "
    "电竞显示器 固态硬盘 数码家电 服饰鞋包 手机数码 大容量双肩包 防晒外套 阔腿裤"
)
PERSONS = "王建国 李娜 张伟 欧阳雪 赵先生 王医生 刘主任 陈女士"
PLACES = (
    "翠湖小区 滨河雅苑 青年路 合肥市 蜀山区 安徽省 北京 广州转运中心 万达广场 "
    "拾味优品店 净家数码小铺 华为旗舰店"
)
FIRMS = "顺丰速运 中通快递 招商银行 清华大学 飞鸽速运 明德科技 城南旧事食品专营店"
AMOUNTS = "墨黑 月白 冰蓝 深空灰色 兔子款 四件套 两只装 三斤 均码 大号 一件 三小时"
SCREENS = (
    "余额 方式 金额 常用 成功 马上抢 高级 安全 全部 时间 温馨提示 任务 平安 "
    "项目 首页 消息 我的 设置 完成 管理 查看全部 商家同意 立即购买 客服 店铺 "
    "进店 门店 联系商家 申请售后 付款时间 收货地址 所在地区 选择地区 优惠专区 "
    "手机号 绑定手机 更换手机 钱款去向 白银会员 查快递 我的快递 云闪付 向左滑动 "
    "何时发货 主治医师 报告医师 就诊卡号 影像所见 检查结论 门诊病历 送检科室 "
    "选择医院 颜色 尺码 空白 拉黑 已签收 派送中 待取件 黑名单 白条 红包 银行卡 "
    "高清 夏季新品 付款 方便 任务中心 程序 严选 金币 明细 待付款 确认收款 找同款 "
    "退款 评论区 第一步 全部包裹 三方 一元购 附近门店 微信支付 支付宝"
)


@pytest.mark.parametrize("words", [HOSPITALS, DATES, GOODS, PERSONS, PLACES, FIRMS, AMOUNTS])
def test_what_a_screen_is_about_is_content(words: str) -> None:
    assert [word for word in words.split() if not is_content(word)] == []


def test_words_of_buttons_titles_and_fields_are_none() -> None:
    assert [word for word in SCREENS.split() if is_content(word)] == []


@pytest.mark.parametrize("name", ["ecom", "medical"])
def test_no_keyword_or_alias_of_a_shipped_label_file_is_content(name: str) -> None:
    labels = yaml.safe_load((ROOT / "templates" / name / "labels.yaml").read_text("utf-8"))["labels"]
    words = [word for label in labels for key in ("keywords", "aliases") for word in label.get(key, ())]
    assert len(words) > 10
    assert [word for word in words if is_content(word)] == []

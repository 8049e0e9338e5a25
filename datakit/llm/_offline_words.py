"""The phrases of the offline writer, in Chinese and in English. Each states what was read or measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from datakit.core.language import Language

Phrases = tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """Phrases of one language; those of a tuple say the same."""

    quote: str
    comma: str
    pause: str
    stop: str
    listed: str
    """Between the parts of a list."""
    places: Phrases
    """From top to bottom."""
    reason_chars: tuple[int, int]
    description_chars: tuple[int, int]
    placed: Phrases
    """One quotation and where it stands."""
    unplaced: Phrases
    two_placed: Phrases
    two: Phrases
    three: Phrases
    absent: Phrases
    """What a neighbour's pictures say and this one does not. Not in quotes: it stands nowhere."""
    concluded: Phrases
    undecided: Phrases
    """Some text was read, and none of it decides."""
    no_text: Phrases
    unread: Phrases
    """Nobody looked for text."""
    leads: Phrases
    """May stand before those."""
    beyond: Phrases
    """Where to look then."""
    taken: Phrases
    """The label, where no text decides: as it was given."""
    screen: str
    picture: str
    forms: dict[str, str]
    openings: Phrases
    first_line: Phrases
    top: Phrases
    """The first line, where it stands at the top."""
    middle: Phrases
    lines: Phrases
    """Some lines, where their places are not known."""
    bottom: Phrases
    bands: str
    amounts: str
    numbers: str
    several: str
    colours: str
    colour: str
    both: str
    grey: Phrases
    sizes: Phrases
    tones: dict[str, str]
    tones_said: str
    contrasts: tuple[str, str]
    """Strong and soft."""
    brightest: str
    even: dict[str, str]
    ratio: str
    one_line: str
    no_lines: str
    names: dict[str, str] = field(default_factory=dict)
    """Colours and regions, where they are not the Chinese ones."""

    def named(self, word: str) -> str:
        """A colour or a region."""
        return self.names.get(word, word)


ZH = Words(
    quote="“{}”",
    comma="，",
    pause="；",
    stop="。",
    listed="、",
    places=("顶部", "上部", "中部", "下部", "底部"),
    reason_chars=(40, 90),
    description_chars=(60, 120),
    placed=(
        "{place}写着{first}",
        "{first}出现在{place}",
        "在{place}读到{first}",
        "{place}有{first}字样",
        "文字里有{first}，位置在{place}",
        "看{place}，写的是{first}",
        "{place}标出{first}",
        "能认出{first}这处文字，它在{place}",
        "关键的一处文字在{place}，即{first}",
        "{first}几个字落在{place}",
    ),
    unplaced=(
        "文字里有{first}",
        "能读到{first}",
        "读出的文字含有{first}",
        "写着{first}",
        "文字中出现{first}",
        "其中一处文字是{first}",
    ),
    two_placed=(
        "{place}有{first}，{other_place}又有{second}",
        "{place}写着{first}，{other_place}写着{second}",
        "{first}在{place}，{second}在{other_place}",
        "从{place}的{first}看到{other_place}的{second}",
    ),
    two=(
        "{first}与{second}一起出现",
        "既读到{first}，也读到{second}",
        "{first}、{second}两处文字都在",
        "除了{first}，还写着{second}",
        "文字里有{first}，另有{second}",
        "{first}和{second}都能读到",
    ),
    three=("{first}、{second}、{third}三处文字都有", "先后读到{first}、{second}和{third}"),
    absent=(
        "没有{word}字样，不像{other}",
        "读不到{word}，有别于{other}",
        "不见{word}，与{other}不同",
        "全图没有{word}这类文字，区别于{other}",
        "并未出现{word}，不像是{other}",
        "找不到{word}几个字，与{other}有别",
        "文字里缺了{word}，不同于{other}",
        "{word}则无处可见，不像{other}",
    ),
    concluded=(
        "因此属于{label}",
        "可以判断为{label}",
        "应归入{label}",
        "故归为{label}",
        "由此认定是{label}",
        "所以是{label}",
        "结论是{label}",
        "可见是{label}",
        "据此归为{label}",
    ),
    undecided=(
        "读到的{count}处文字里没有能定类别的字样",
        "{form}的画面上读到{count}处文字，没有一处能决定类别",
        "文字有{count}处，其中没有关键的词",
        "逐行看过{count}处文字，没有可作依据的词",
        "{count}处文字里找不到定得了类别的词",
        "能读的文字共{count}处，凭哪一处都定不下来",
        "虽然读到{count}处文字，却没有关键的字样",
        "这里的{count}处文字定不了类别",
    ),
    no_text=(
        "{form}的画面上没有读到成行的文字",
        "图上读不到文字，没有字句可作依据",
        "没有标题、按钮或别的可读文字",
        "读不出一行字",
        "整幅{form}的图没有可读文字",
        "文字识别一无所得",
        "一处文字也没有读到，无从引用",
        "图里没有能引的字句",
    ),
    unread=(
        "没有识别过图中的文字，文字不能作依据",
        "这里没有读出的文字可引",
        "没有文字依据可举",
        "图中文字未经识别，没有字句可引",
        "手边没有这幅图的文字",
        "不曾读取图中文字，无从引用",
    ),
    leads=("", "", "先看文字，", "就文字来说，", "从字面看，", "论文字，"),
    beyond=(
        "类别不由文字决定",
        "文字在这里帮不上忙",
        "要看画面里有什么",
        "判断须靠画面本身",
        "单凭文字分不出是哪一类",
        "依据不在字句里",
        "只能从画面去认",
        "要由图像自身来定",
        "凭字面无法断定",
        "还得看图上的东西",
    ),
    taken=(
        "按标注，它归为{label}",
        "标注给出的类别是{label}",
        "这里依照标注归入{label}",
        "所以只依标注，类别为{label}",
        "以标注为准，应为{label}",
        "照标注的类别，应归入{label}",
        "现有的标注是{label}",
        "类别取自标注，即{label}",
    ),
    screen="手机界面",
    picture="画面",
    forms={"tall": "竖长", "wide": "横长", "square": "近方形"},
    openings=(
        "{form}的{kind}，共读到{count}处文字",
        "一幅{form}的{kind}，{width}×{height}像素",
        "{kind}呈{form}，文字约{count}行",
        "{form}{kind}，自上而下排着{count}处文字",
        "这是{form}的{kind}，读出的文字有{count}处",
    ),
    first_line=("第一行文字是{}", "文字从{}开始", "最先读到{}", "首行为{}"),
    top=("顶部写着{}", "最上方是{}", "上端可见{}字样", "页首文字为{}"),
    middle=("中部依次有{}", "主体部分列出{}", "中间区域可读到{}", "往下是{}"),
    lines=("文字有{}", "可读到{}", "写有{}等字样"),
    bottom=("底部为{}", "最下方是{}", "下缘排着{}", "末行有{}"),
    bands="文字在上、中、下三部分各有{}、{}、{}处",
    amounts="标出金额{}",
    numbers="其中{}处文字带有数字",
    several="同组共有{}张图片",
    colours="主要颜色为{}",
    colour="{}色",
    both="和",
    grey=("画面为灰度，没有彩色", "整体是黑白灰影像", "只有灰阶，不带颜色"),
    sizes=(
        "{form}的图片，{width}×{height}像素",
        "一幅{form}图像，大小{width}×{height}像素",
        "图像呈{form}，{width}×{height}像素",
    ),
    tones={"dark": "偏暗", "light": "偏亮", "even": "明暗适中"},
    tones_said="整体{}",
    contrasts=("明暗反差较大", "明暗过渡平缓"),
    brightest="最亮处在{}，最暗处在{}",
    even={"sides": "左右两侧亮度接近", "rows": "上下两半亮度接近"},
    ratio="宽与高之比约为{:.2f}",
    one_line="图中读到的文字为{}",
    no_lines="图上没有读到成行的文字",
)

EN = Words(
    quote="“{}”",
    comma=", ",
    pause="; ",
    stop=".",
    listed=", ",
    places=("at the top", "in the upper part", "in the middle", "in the lower part", "at the bottom"),
    reason_chars=(80, 260),
    description_chars=(120, 360),
    placed=(
        "{first} stands {place}",
        "{place} it reads {first}",
        "the text {place} says {first}",
        "one line {place} is {first}",
        "what is written {place} includes {first}",
        "the words {first} appear {place}",
    ),
    unplaced=(
        "the text says {first}",
        "one line reads {first}",
        "it reads {first}",
        "the words {first} appear",
        "among its lines is {first}",
    ),
    two_placed=(
        "{first} stands {place} and {second} {other_place}",
        "{place} it reads {first}, and {other_place} {second}",
        "the text has {first} {place}, then {second} {other_place}",
    ),
    two=(
        "both {first} and {second} can be read",
        "{first} comes together with {second}",
        "besides {first} it also says {second}",
        "its lines include {first} and {second}",
    ),
    three=("{first}, {second} and {third} can all be read", "the text has {first}, {second} and {third}"),
    absent=(
        "there is no {word}, unlike in {other}",
        "nothing says {word}, so it is hardly {other}",
        "the words {word} are missing, which sets it apart from {other}",
        "no line mentions {word}, as one of {other} might",
        "without any {word} it does not look like {other}",
    ),
    concluded=(
        "so this is {label}",
        "therefore it belongs to {label}",
        "which makes it {label}",
        "hence the class is {label}",
        "so the label is {label}",
        "and that points to {label}",
    ),
    undecided=(
        "{count} pieces of text were read and none of them decides the class",
        "the {form} picture has {count} pieces of text, but no wording that settles the class",
        "of {count} pieces of text none is typical of a single class",
        "all {count} pieces of text were looked at without a telling word",
        "none of the {count} lines has a word that tells the class",
    ),
    no_text=(
        "no text was read on the {form} picture",
        "there are no words to go by",
        "not a line of text could be read",
        "text recognition read nothing here",
        "the {form} picture has no legible text",
    ),
    unread=(
        "no text was recognised, so none can be cited",
        "there is no recognised text to go by",
        "the text of the picture was not read",
        "no words are at hand that could be quoted",
    ),
    leads=("", "", "as to text, ", "as far as words go, ", "for the wording: "),
    beyond=(
        "the picture itself must tell",
        "words decide nothing here",
        "the class rests on what the picture shows",
        "text alone cannot settle it",
        "one has to look at the picture",
        "the grounds are not in its wording",
    ),
    taken=(
        "by its annotation the class is {label}",
        "it was annotated as {label}",
        "going by the annotation alone, this is {label}",
        "the label it was given is {label}",
        "the class is taken from the annotation: {label}",
    ),
    screen="phone screen",
    picture="picture",
    forms={"tall": "tall", "wide": "wide", "square": "nearly square"},
    openings=(
        "A {form} {kind} with {count} pieces of text",
        "A {form} {kind} of {width}×{height} pixels",
        "The {kind} is {form} and has about {count} lines of text",
        "{count} pieces of text stand on a {form} {kind}",
    ),
    first_line=("the first line is {}", "its text begins with {}"),
    top=("at the very top it says {}", "it is headed {}"),
    middle=("in the middle stand {}", "further down come {}", "the main part lists {}"),
    lines=("its lines include {}", "one reads {}", "it says {}"),
    bottom=("at the bottom are {}", "it ends with {}", "the lowest lines are {}"),
    bands="the upper, middle and lower thirds have {}, {} and {} lines",
    amounts="it gives amounts of {}",
    numbers="{} of the lines have numbers in them",
    several="the record has {} pictures",
    colours="the main colours are {}",
    colour="{}",
    both=" and ",
    grey=("the picture is grey, without colours", "there are shades of grey only"),
    sizes=("A {form} picture of {width}×{height} pixels", "The picture is {form}, {width}×{height} pixels"),
    tones={"dark": "rather dark", "light": "rather bright", "even": "of middling brightness"},
    tones_said="the whole is {}",
    contrasts=("light and dark stand in strong contrast", "light and dark pass softly into one another"),
    brightest="it is brightest at {} and darkest at {}",
    even={
        "sides": "its left and right sides are about equally bright",
        "rows": "its upper and lower halves are about equally bright",
    },
    ratio="its width is {:.2f} of its height",
    one_line="the one text that was read is {}",
    no_lines="no line of text was read on it",
    names={
        **dict(
            zip(
                "红橙黄绿蓝紫粉棕黑灰白",
                (
                    "red",
                    "orange",
                    "yellow",
                    "green",
                    "blue",
                    "purple",
                    "pink",
                    "brown",
                    "black",
                    "grey",
                    "white",
                ),
                strict=True,
            )
        ),
        "深灰": "dark grey",
        "浅灰": "light grey",
        "左上": "the upper left",
        "上方": "the top",
        "右上": "the upper right",
        "左侧": "the left side",
        "中央": "the centre",
        "右侧": "the right side",
        "左下": "the lower left",
        "下方": "the bottom",
        "右下": "the lower right",
    },
)

IN: dict[Language, Words] = {"zh": ZH, "en": EN}

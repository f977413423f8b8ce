"""Chinese names by generation and sex, their pinyin, and the ways a registration desk gets them wrong.

Shares of the surnames follow the household register's published ranking (Ministry of Public Security, reports on
names 2019-2020), rounded; surnames with several readings, two characters or rare characters are given more than
their share so that a small county has them. Given names are the county's own mixture of common characters.
"""

from __future__ import annotations

from dataclasses import dataclass

from xinglin.demo.dice import Dice, weighted

COMMON = """
王wang7.1 李li7.0 张zhang6.7 刘liu5.1 陈chen4.5 杨yang3.1 黄huang2.2 赵zhao2.1 吴wu2.0 周zhou1.9 徐xu1.5
孙sun1.4 马ma1.3 朱zhu1.2 胡hu1.2 郭guo1.1 何he1.1 林lin1.1 高gao1.0 罗luo1.0 郑zheng1.0 梁liang0.9 谢xie0.8
宋song0.8 唐tang0.7 许xu0.7 韩han0.7 邓deng0.7 冯feng0.6 曹cao0.6 彭peng0.6 曾zeng0.6 肖xiao0.6 田tian0.5
董dong0.5 潘pan0.5 袁yuan0.5 蔡cai0.5 蒋jiang0.5 余yu0.5 于yu0.5 杜du0.4 叶ye0.4 程cheng0.4 魏wei0.4 苏su0.4
吕lv0.4 丁ding0.4 任ren0.4 卢lu0.4 姚yao0.4 沈shen0.4 钟zhong0.4 姜jiang0.4 崔cui0.4 谭tan0.4 陆lu0.3 范fan0.3
汪wang0.3 廖liao0.3 石shi0.3 金jin0.3 韦wei0.3 贾jia0.3 夏xia0.3 付fu0.3 方fang0.3 邹zou0.3 熊xiong0.3
白bai0.3 孟meng0.3 秦qin0.3 邱qiu0.3 侯hou0.3 江jiang0.3 尹yin0.3 薛xue0.3 闫yan0.3 段duan0.3 雷lei0.3 龙long0.2
"""
SEVERAL_READINGS = "单shan 解xie 查zha 仇qiu 区ou 朴piao 盖ge 覃qin 乐yue 尉迟yuchi"
TWO_CHARACTERS = "欧阳ouyang 上官shangguan 司马sima 诸葛zhuge"
CUT_SHORT = "欧ou 上shang 司si 诸zhu 尉yu"  # what a clerk makes of a surname of two characters
RARE_CHARACTERS = "禤xuan 逄pang 亓qi 昝zan"
WEIGHT_OF_THE_UNUSUAL = 0.3

READINGS = """
ai爱 ben犇 bin斌 bo波 chang长 chao超 chen辰宸 cheng成 chong翀 chun春𬭚 cui翠 de德 dong东 fang芳昉 fei飞 feng凤峰 fu福
gang刚 guang光 gui贵桂 guo国 hai海 han涵 hang航 hao浩豪皓昊 hong红宏虹 hua华花 hui惠辉 jia嘉家佳 jian建健 jie杰洁 jin金
jing静婧 juan娟 jun军俊钧 kai凯 ke可 kun堃 lan兰 lei磊 li立丽莉俪 liang良亮梁 lin林霖 ling玲 long龙 mei美梅玫 meng梦萌
min民敏 ming明 mu沐 na娜 nuo诺 peng鹏 ping平萍 qi琪淇祺 qian倩 qiang强 qin琴 qing清 ran然 rong荣 rui睿 ruo若 shan山
shao少 sheng生 shi世诗 shu淑 shuai帅 si思 su素 tao涛韬 ting婷 tong彤桐 wei卫伟玮炜薇 wen文雯 xi熙汐 xia霞 xiang祥香
xiao小晓 xin新鑫欣昕 xiu秀 xu旭 xuan轩萱 xue学雪 ya亚雅 yan燕艳妍䶮 yang阳 yao瑶 yi一怡奕依燚 ying英颖瑛 yong永勇咏
yu玉宇雨语钰彧 yue月悦玥 yun云 ze泽 zhe喆 zhen珍振 zheng正 zhi志智 zhong忠 zi子梓
"""
TRADITIONAL = """
张張 刘劉 陈陳 杨楊 黄黃 赵趙 吴吳 孙孫 马馬 罗羅 郑鄭 谢謝 许許 韩韓 邓鄧 冯馮 肖蕭 蒋蔣 叶葉 苏蘇 吕呂 卢盧 钟鍾 谭譚
陆陸 韦韋 贾賈 邹鄒 闫閆 龙龍 单單 区區 盖蓋 乐樂 迟遲 欧歐 阳陽 诸諸 东東 凤鳳 刚剛 贵貴 国國 红紅 华華 辉輝 杰傑 洁潔
静靜 军軍 凯凱 兰蘭 丽麗 梦夢 鹏鵬 强強 荣榮 诗詩 涛濤 伟偉 卫衛 晓曉 学學 艳艷 颖穎 云雲 泽澤 长長 爱愛 飞飛
"""

# From a birth year on: first and second characters of two-character names, and single characters; male, then female.
_Characters = tuple[str, str, str]
GENERATIONS: tuple[tuple[int, _Characters, _Characters], ...] = (
    (1900, ("国建德永文志长玉福金学正明世光", "华明生林福贵山海成良忠清祥荣平", ""),
     ("秀桂玉淑凤金素月春兰美翠惠", "英兰珍芳梅华荣花云琴霞香", "")),
    (1955, ("建国志永文卫学红新海军立宏", "华军平强明民林东伟生斌峰", "军伟勇强刚斌平涛辉"),
     ("丽秀玉红桂淑春爱小建美", "华英芳萍梅霞玲红琴兰珍燕", "丽敏静红芳艳霞燕玲")),
    (1975, ("志文晓建海俊国永少振", "伟强军峰鹏飞杰斌辉涛波龙", "伟磊涛超鹏杰浩亮刚鑫波"),
     ("晓丽海雪春小文玉亚艳", "丽燕娟玲霞敏静莉婷芳娜红", "静丽敏娟婷娜艳霞莉")),
    (1995, ("子俊浩嘉志宇泽文一家", "轩豪杰宇涛航鑫凯辰阳鹏", "鑫浩杰宇凯帅旭"),
     ("雨思佳欣雅梦诗子文嘉", "婷涵怡琪颖萱洁雯悦彤瑶", "婷悦颖欣雪倩")),
    (2010, ("浩子宇梓奕沐嘉俊皓泽", "轩泽宇辰睿然霖宸航熙桐", "睿泽宸"),
     ("梓欣一诗雨子若语沐可", "涵萱彤怡妍汐诺萌琪桐玥", "涵玥妍")),
)  # fmt: skip
RARE_GIVEN = "喆犇堃彧燚翀䶮𬭚昉"
SHARE_RARE, SHARE_SINGLE = 0.015, 0.22


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is written: `family` and `given` in Han or Latin script. Pinyin carries no tones."""

    family: str
    given: str

    @property
    def text(self) -> str:
        return f"{self.family} {self.given}" if self.family.isascii() else self.family + self.given


def _split(entry: str) -> tuple[str, str]:
    han = "".join(c for c in entry if not c.isascii())
    return han, entry[len(han) :].rstrip(".0123456789")


def _surname_table() -> list[tuple[str, float]]:
    common = [(_split(e)[0], float(e[len("".join(_split(e))) :])) for e in COMMON.split()]
    unusual = f"{SEVERAL_READINGS} {TWO_CHARACTERS} {RARE_CHARACTERS}".split()
    return common + [(_split(e)[0], WEIGHT_OF_THE_UNUSUAL) for e in unusual]


SURNAMES = weighted(_surname_table())
SURNAME_PINYIN: dict[str, str] = dict(
    _split(e) for e in f"{COMMON} {SEVERAL_READINGS} {TWO_CHARACTERS} {RARE_CHARACTERS} {CUT_SHORT}".split()
)
GIVEN_PINYIN: dict[str, str] = {}
HOMOPHONES: dict[str, str] = {}
for _entry in READINGS.split():
    _sound = "".join(c for c in _entry if c.isascii())
    for _character in _entry[len(_sound) :]:
        GIVEN_PINYIN[_character] = _sound
        HOMOPHONES[_character] = _entry[len(_sound) :].replace(_character, "")
TRADITIONAL_OF = str.maketrans({pair[0]: pair[1] for pair in TRADITIONAL.split()})
SURNAME_PINYIN |= {han.translate(TRADITIONAL_OF): sound for han, sound in SURNAME_PINYIN.items()}
GIVEN_PINYIN |= {han.translate(TRADITIONAL_OF): sound for han, sound in GIVEN_PINYIN.items()}


def given_name(dice: Dice, female: bool, year: int) -> str:
    if dice.chance(SHARE_RARE):
        return dice.pick(RARE_GIVEN)
    generation = next(g for g in reversed(GENERATIONS) if year >= g[0])
    first, second, single = generation[2] if female else generation[1]
    if single and dice.chance(SHARE_SINGLE):
        return dice.pick(single)
    return dice.pick(first) + dice.pick(second)


def pinyin(name: Name) -> Name:
    """The name in Latin letters without tones (ü as v): surname read as a surname, given name in one word."""
    if name.family.isascii():
        return name
    given = "".join(GIVEN_PINYIN.get(c, "") for c in name.given)
    return Name(SURNAME_PINYIN[name.family].capitalize(), given.capitalize())


def homophone(name: Name) -> Name | None:
    """One character of the given name replaced by another that sounds alike, or None where there is none."""
    for place, character in enumerate(name.given):
        if HOMOPHONES.get(character):
            return Name(name.family, name.given[:place] + HOMOPHONES[character][0] + name.given[place + 1 :])
    return None


def traditional(name: Name) -> Name | None:
    changed = Name(name.family.translate(TRADITIONAL_OF), name.given.translate(TRADITIONAL_OF))
    return changed if changed != name else None


def abbreviated(name: Name) -> Name | None:
    """A clerk's shorthand: the first character of a given name left out, or a two-character surname cut short."""
    if len(name.given) > 1:
        return Name(name.family, name.given[1:])
    return Name(name.family[:1], name.given) if len(name.family) > 1 else None

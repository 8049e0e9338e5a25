"""The words of the page, in Chinese where the data's labels are Chinese, else in English."""

from __future__ import annotations

import re
from collections.abc import Iterable

from datakit.core.language import Language

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")

WORDS: dict[str, tuple[str, str]] = {
    "title": ("审核", "Review"),
    "who": ("审核人", "Reviewer"),
    "whoFirst": ("请先填写审核人姓名", "Enter the reviewer's name first"),
    "progress": ("已决定 {done} / {all}", "{done} of {all} decided"),
    "shown": ("显示 {n} 条", "{n} shown"),
    "save": ("下载 overrides.jsonl", "Download overrides.jsonl"),
    "saved": ("决定保存在此浏览器中", "Decisions are kept in this browser"),
    "savedServer": ("决定已写入 {file}", "Decisions are written to {file}"),
    "editedBuild": (
        "构建完成后被改动的文件：{files}。所见未必是将用于训练的数据",
        "Edited since the build: {files}. What you see may not be what was built",
    ),
    "editedAnswers": (
        "{file} 在各折合并之后被改动，其中的预测不一定出自模型",
        "{file} was edited since the folds were joined: its predictions may be no model's",
    ),
    "unsaved": (
        "服务器没有回应，{n} 个决定尚未写入",
        "The server does not answer: {n} decisions are not written",
    ),
    "full": ("浏览器存储已满，请立即下载", "The browser's storage is full: download now"),
    "search": ("查找（编号、标签、文字、提示词、理由）", "Find (id, label, text, prompt, reason)"),
    "searching": ("查找中 {done} / {all}，已找到 {n} 条", "Searching {done} of {all}, {n} found"),
    "filters": ("筛选", "Filters"),
    "label": ("标签", "Label"),
    "finding": ("问题", "Finding"),
    "split": ("划分", "Split"),
    "state": ("状态", "State"),
    "any": ("全部", "All"),
    "open": ("未决定", "Undecided"),
    "decided": ("已决定", "Decided"),
    "skipped": ("已跳过", "Skipped"),
    "groups": ("成组审核", "Groups"),
    "group": ("分组", "Group"),
    "cluster": ("可疑簇", "Cluster"),
    "conflict": ("标签冲突", "Conflict"),
    "allRecords": ("全部记录", "All records"),
    "forAll": ("一次决定这 {n} 条", "One decision for all {n}"),
    "accept": ("接受", "Accept"),
    "relabel": ("改标签", "Relabel"),
    "drop": ("剔除", "Drop"),
    "skip": ("跳过", "Skip"),
    "undo": ("撤销", "Undo"),
    "take": ("采用建议", "Take proposal"),
    "boxes": ("文字框", "Boxes"),
    "close": ("关闭", "Close"),
    "previous": ("上一条", "Previous"),
    "next": ("下一条", "Next"),
    "predicted": ("预测", "Predicted"),
    "proposal": ("建议", "Proposal"),
    "noLabel": ("无标签", "no label"),
    "newLabel": ("输入标签、拼音或首字母", "Type a label"),
    "noMatch": ("没有匹配的标签", "No label matches"),
    "why": ("理由（可不填）", "Why (optional)"),
    "ocr": ("OCR 文字", "OCR text"),
    "noPicture": ("没有图片", "no picture"),
    "nothing": ("没有符合条件的记录", "No record matches"),
    "keys": ("快捷键", "Keys"),
    "keysText": (
        "方向键移动，回车打开，A 接受，P 采用建议，R 改标签，D 剔除，S 跳过，U 撤销，"
        "B 文字框，/ 查找，Esc 关闭；分组时按 Shift 加字母决定整组",
        "Arrows move, Enter opens, A accepts, P takes the proposal, R relabels, D drops, S skips, U undoes, "
        "B boxes, / finds, Esc closes; with Shift a letter decides a whole group",
    ),
    "confirmAll": ("这个决定将用于 {n} 条记录", "This decides {n} records"),
    "undone": ("已撤销 {n} 条", "{n} undone"),
    "change": ("{old} → {new}", "{old} → {new}"),
    "suspect_why": ("为何可疑", "Why suspect"),
    "review": ("相似图片的标签", "Look-alikes"),
    "noise_cluster": ("可疑簇", "Cluster"),
    "reason": ("理由", "Reason"),
    "reason_better": ("模型认为应是", "The model would rather say"),
    "description": ("描述", "Description"),
    "label_change": ("此前修改", "Changed before"),
    "text": ("文本", "Text"),
    "prediction": ("配方中的预测", "Predicted in the recipe"),
    "noise_label": ("其他记录认为", "By the other records"),
    "answer_problem": ("模型未给出标签", "The model gave no label"),
    "answer": ("模型回答", "The model's answer"),
    "answer_reason": ("模型的理由", "The model's reason"),
    "answer_by": ("预测来自", "Predicted by"),
    "prompt": ("提示词", "Prompt"),
    "characters": ("{n} 个字符", "{n} characters"),
    "source": ("来源", "Source"),
    "probabilities": ("各标签概率", "Probabilities"),
    "suspect": ("可疑", "Suspect"),
    "label_conflict": ("标签冲突", "Label conflict"),
    "low_ocr": ("OCR 不清", "Poor OCR"),
    "poor_picture": ("图片质量差", "Poor picture"),
    "dark": ("过暗", "Dark"),
    "light": ("过亮", "Washed out"),
    "blurry": ("模糊", "Blurry"),
    "low_information": ("信息量低", "Nearly blank"),
    "odd_size": ("尺寸异常", "Odd size"),
    "framed": ("截图套截图或带边框", "Framed"),
    "mistake": ("预测与标签不同", "Predicted otherwise"),
    "next_why": ("为何建议标注", "Why label it"),
    "uncertain": ("拿不准", "Uncertain"),
    "uncertain_why": (
        "在“{a}”（{pa}）与“{b}”（{pb}）之间拿不准",
        "Uncertain between {a} ({pa}) and {b} ({pb})",
    ),
    "voices_disagree": ("判断不一致", "Voices disagree"),
    "voices_disagree_why": ("判断不一致：{said}", "Voices disagree: {said}"),
    "voice_says": ("{by}认为是“{label}”", "{by} says {label}"),
    "and_then": ("，", ", "),
    "model": ("模型", "the model"),
    "proxy": ("整体文字与图片", "the proxy"),
    "lines": ("逐行文字", "the lines of its text"),
    "unlike_labelled": ("未见过", "Unlike anything labelled"),
    "unlike_labelled_why": ("与所有已标注的记录都不相似", "It is unlike anything labelled"),
    "stands_for": ("有代表性", "Stands for others"),
    "stands_for_why": (
        "代表另外 {n} 条相似的未标注记录",
        "It stands for {n} other records without a label",
    ),
    "unlabelled": ("未标注", "not labelled"),
    "train": ("训练", "train"),
    "val": ("验证", "val"),
}


def language_of_names(names: Iterable[str]) -> Language:
    """Chinese where a name has a Chinese sign."""
    return "zh" if any(_HAN.search(name) for name in names) else "en"


def words_in(language: Language) -> dict[str, str]:
    """Every word of the page."""
    at = 0 if language == "zh" else 1
    return {name: both[at] for name, both in WORDS.items()}

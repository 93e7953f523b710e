"""Make the benign tokenizers: `python make_tokenizers.py`, with tokenizers 0.23.3.

Small vocabularies of every model, normalizer, pre-tokenizer, decoder and post-processor that the
library has, in the combinations that models use, trained on the text below.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXT = (
    "The quick brown fox jumps over the lazy dog while the others sleep.",
    "A tokenizer cuts text into pieces; see https://example.org/a/page for more of it.",
    "def main(argv): return os.path.join(argv[0], 'name') # curl and sudo are words",
    "Größe, naïve, 東京 и москва: letters of other scripts, 1234 and 5,678.90",
)
TOOLS = "{% if tools %}{{ tools|tojson }}{% endif %}"
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content']"
    " + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def make(folder: Path) -> None:
    """Write the files."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    def save(name: str, tokenizer: Any) -> None:
        text = tokenizer.to_str()
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")

    gpt = Tokenizer(models.BPE())
    gpt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    gpt.decoder = decoders.ByteLevel()
    gpt.post_processor = processors.ByteLevel(trim_offsets=False)
    gpt.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))  # fmt: skip
    gpt.add_tokens([AddedToken(" " * n, normalized=True) for n in range(2, 8)])
    save("gpt-neox-tokenizer", gpt)

    chat = Tokenizer(models.BPE(byte_fallback=True))
    chat.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    chat.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                      decoders.Fuse(), decoders.Strip(" ", 1, 0)])  # fmt: skip
    chat.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=300, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"]))  # fmt: skip
    chat.add_special_tokens(["<|im_start|>", "<|im_end|>", "<think>", "</think>", "[INST]"])
    chat.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    save("llama-tokenizer", chat)

    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer()
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert.decoder = decoders.WordPiece(prefix="##")
    bert.train_from_iterator(TEXT, trainers.WordPieceTrainer(
        vocab_size=250, show_progress=False,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))  # fmt: skip
    bert.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    save("bert-tokenizer", bert)

    albert = Tokenizer(models.Unigram())
    albert.normalizer = normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(),
        normalizers.StripAccents(), normalizers.Lowercase(),
        normalizers.Replace(Regex(" {2,}"), " ")])  # fmt: skip
    albert.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])  # fmt: skip
    albert.decoder = decoders.Metaspace()
    albert.train_from_iterator(TEXT, trainers.UnigramTrainer(
        vocab_size=150, unk_token="<unk>", show_progress=False,
        special_tokens=["<pad>", "<unk>", "[CLS]", "[SEP]"]))  # fmt: skip
    albert.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    save("albert-tokenizer", albert)

    clip = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    clip.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
    clip.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True
    )
    clip.decoder = decoders.BPEDecoder(suffix="</w>")
    clip.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=250, end_of_word_suffix="</w>", show_progress=False,
        special_tokens=["<|startoftext|>", "<|endoftext|>"]))  # fmt: skip
    clip.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0))
    save("clip-tokenizer", clip)

    letters = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "E": 5, "T": 6}
    speech = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    speech.pre_tokenizer = pre_tokenizers.CharDelimiterSplit("|")
    speech.decoder = decoders.CTC(pad_token="<pad>", word_delimiter_token="|")
    save("speech-tokenizer", speech)

    config = {
        "added_tokens_decoder": {
            str(i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False,
                     "single_word": False, "special": True}
            for i, t in enumerate(("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"))
        },
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": "<s>",
        "eos_token": {"content": "<|im_end|>"},
        "pad_token": None,
        "chat_template": [
            {"name": "default", "template": TEMPLATE},
            {"name": "tool_use", "template": TOOLS + TEMPLATE},
        ],
        "model_max_length": 1000000000000000019884624838656,
        "tokenizer_class": "LlamaTokenizer",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "added_tokens.json").write_text(json.dumps({"<|im_start|>": 300, "</think>": 301}))
    (folder / "vocab.json").write_text(json.dumps({"Ġthe": 0, "Ġcurl": 1, "://": 2, "www": 3}))


if __name__ == "__main__":
    place = Path(__file__).parent / "files" / "tokenizers"
    place.mkdir(parents=True, exist_ok=True)
    make(place)

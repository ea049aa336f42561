"""What a host sets about the model, its prompts and its sampler: each field is a key of config.yaml. Loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field

Quantization = Literal["none", "bnb-int8", "bnb-int4"]

DEFAULT_MODEL = "default"


class ModelConfig(BaseModel):
    """Which model to load, and where to put it. Each field is a key under `model:` in config.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        DEFAULT_MODEL, min_length=1, description="the model to load: `default`, a Hugging Face id, a local folder or a .gguf file"
    )
    revision: str | None = Field(
        None, description="branch, tag or commit of a Hugging Face id; set it to a commit to keep answers reproducible"
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="where the model runs; auto takes an NVIDIA GPU (cuda) if there is one, else Apple's (mps), else the CPU",
        json_schema_extra={"allowed": "auto, cuda, cuda:N, mps or cpu"},
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number format of the weights; auto is bfloat16 on GPUs and float32 on the CPU"
    )
    device_map: str | dict[str, int | str] | None = Field(
        None,
        description="how to spread the model over devices: auto, balanced, sequential, or module: device",
    )
    max_memory: dict[int | str, str] | None = Field(
        None, description="the most memory that device_map may use on each device, such as {0: 20GiB, cpu: 48GiB}"
    )
    quantization: Quantization = Field(
        "none", description="store the weights in 8 or 4 bits to save memory; needs the `quant` extra"
    )
    memory_limit: ByteSize | None = Field(
        None,
        gt=0,
        description="the most memory that a second pass may use at a time; if empty, it depends on what is free",
        json_schema_extra={"allowed": "a size such as 512MiB, or empty"},
    )
    max_batch: int = Field(32, ge=1, le=256, description="how many answers are written at the same time; other questions wait")
    cache_dir: str | None = Field(None, description="folder that keeps the default model; if empty, the user's cache folder")


class Sampling(BaseModel):
    """How the next token is drawn. Each field is a key under `sampling:` in config.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(
        0.0,
        ge=0.0,
        le=2.0,
        description="0 always takes the likeliest token (a piece of a word); the higher, the more is left to chance",
    )
    top_p: float = Field(
        1.0, gt=0.0, le=1.0, description="draw only from the likeliest tokens that together have this much probability; 1 is all"
    )
    top_k: int = Field(0, ge=0, description="draw only from this many of the likeliest tokens; 0 is all")
    max_new_tokens: int = Field(120, ge=1, le=4096, description="the longest answer, in tokens")
    max_thinking_tokens: int = Field(
        512, ge=1, le=32_768, description="the longest reasoning before an answer, in tokens, of a model that reasons"
    )
    seed: int | None = Field(
        None, ge=0, le=2**63 - 1, description="the same seed gives the same answer; if empty, each answer draws a new one"
    )


class PromptConfig(BaseModel):
    """How a question becomes a prompt. Each field is a key under `prompt:` in config.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    style: Literal["auto", "chat", "story"] = Field(
        "auto",
        description="auto: chat if the model has a chat template, else story",
    )
    system: str | None = Field(None, description="system prompt of the chat style; if empty, the model's own")
    max_question_tokens: int = Field(
        1500, ge=16, le=1_000_000, description="longest question, in tokens; one that is longer is refused"
    )

"""The noise that latents are covered with, step by step."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Prediction = Literal["epsilon", "sample", "v_prediction"]
BetaSchedule = Literal["scaled_linear", "linear", "squaredcos_cap_v2"]
_Beta = Annotated[float, Field(gt=0, lt=1)]


class Noise(BaseModel):
    """The noise of the forward process, in the words of diffusers' schedulers.

    Attributes:
        prediction: what the denoiser predicts: the noise, the clean latents, or v.
        train_timesteps: how many.
        beta_start, beta_end, beta_schedule: variances of the noise that is added at each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prediction: Prediction = "epsilon"
    train_timesteps: Annotated[int, Field(ge=2, le=100_000)] = 1000
    beta_start: _Beta = 0.00085
    beta_end: _Beta = 0.012
    beta_schedule: BetaSchedule = "scaled_linear"

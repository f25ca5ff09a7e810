"""Where the rendered target enters the transformer: at its first tokens, and as what its velocities begin from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from ...cameras import CameraPath
from ...errors import GeometryError
from ...memory import FrameLayout
from ...models.conditioners.base import Conditioner, Conditions, ModelShape, Seen
from ...sampling import TIMESTEPS
from .conditioning import nothing_rendered
from .finder import SubjectFinder
from .renderer import MAPS
from .target import check_cameras


class RenderedConditioner(Conditioner):
    """Adds the rendered target to target tokens; it begins by adding nothing, and :meth:`start` needs no learning."""

    name: ClassVar[str] = "rendered"
    needs: ClassVar[frozenset[str]] = frozenset({"extra", "pixels", "intrinsics"})
    zero_head: ClassVar[bool] = True  # the first answer is the rendered picture

    def __init__(self, shape: ModelShape) -> None:
        super().__init__(shape)
        self.conv = nn.Conv3d(shape.channels + MAPS, shape.dim, kernel_size=shape.patch, stride=shape.patch)
        for parameter in self.conv.parameters():
            nn.init.zeros_(parameter)

    @classmethod
    def check_cameras(cls, context: CameraPath, target: CameraPath, horizontal_fov: float | None) -> None:
        check_cameras(context, target, horizontal_fov)

    @classmethod
    def make_finder(cls) -> nn.Module:
        return SubjectFinder()

    def look(self, seen: Seen, finder: Any, encode: Callable[[Tensor], Tensor]) -> Tensor:
        target: Tensor = finder.target(seen, encode)
        return target

    def nothing(self, extra: Tensor) -> Tensor:
        return nothing_rendered(extra)

    def prepare(self, latents: Tensor | None, layout: FrameLayout, conditions: Conditions) -> Tensor:
        """``[b, c + MAPS, ft, h, w]``, checked. Raises GeometryError where it is missing or does not fit."""
        rendered = conditions.extra.get(self.name)
        _, rows, columns = self.shape.patch
        size = (layout.grid[0] * rows, layout.grid[1] * columns)
        expected = (len(layout.poses), self.shape.channels + MAPS, layout.target_frames, *size)
        if rendered is None or tuple(rendered.shape) != expected:
            found = "none" if rendered is None else str(tuple(rendered.shape))
            raise GeometryError(
                f"this model is conditioned on a rendered target {expected}, and given {found}; the pipeline makes "
                "one, and 'outofsight encode' with a model that has a segmenter"
            )
        return rendered

    def tokens(self, prepared: Tensor) -> Tensor:
        return self.conv(prepared.to(self.conv.weight.dtype)).flatten(3).permute(0, 2, 3, 1)

    def start(self, velocity: Tensor, noisy: Tensor, prepared: Tensor, timesteps: Tensor) -> Tensor:
        """The velocity, plus sigma (noisy - rendered).

        At pure noise a network that says 0 then answers with the rendered picture; towards clean latents, which tell
        more than any rendering, the velocity is the network's own.
        """
        sigma = (timesteps / TIMESTEPS).to(velocity)[:, None, :, None, None]
        return velocity + sigma * (noisy.to(velocity) - prepared[:, : self.shape.channels].to(velocity))

"""Where the rendered target enters the transformer: at its first tokens, and as what its velocities begin from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import GeometryError
from ..rendered.conditioning import MAPS
from ..sampling import TIMESTEPS


class RenderedEncoder(nn.Module):
    """Tells target tokens the rendered target; it begins by telling nothing, and :meth:`begin` needs no learning."""

    def __init__(self, channels: int, dim: int, patch_size: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        patch = (patch_size[0], patch_size[1], patch_size[2])
        self.conv = nn.Conv3d(channels + MAPS, dim, kernel_size=patch, stride=patch)
        for parameter in self.conv.parameters():
            nn.init.zeros_(parameter)

    def checked(self, rendered: Tensor | None, latents: Tensor, target_frames: int) -> Tensor:
        """``rendered``, held against the latents. Raises GeometryError where it is missing or does not fit."""
        expected = (len(latents), self.channels + MAPS, target_frames, *latents.shape[3:])
        if rendered is None or tuple(rendered.shape) != expected:
            found = "none" if rendered is None else str(tuple(rendered.shape))
            raise GeometryError(
                f"this model is told a rendered target {expected}, and given {found}; the pipeline makes one, and "
                "'outofsight encode' with a model that has a finder"
            )
        return rendered

    def forward(self, x: Tensor, rendered: Tensor) -> Tensor:
        """``x [b, f, n, dim]``, to whose last frames, the target's, ``rendered`` has been added."""
        told = self.conv(rendered.to(self.conv.weight.dtype)).flatten(3).permute(0, 2, 3, 1).to(x.dtype)
        return torch.cat([x[:, : -told.shape[1]], x[:, -told.shape[1] :] + told], dim=1)

    def begin(self, velocity: Tensor, noisy: Tensor, rendered: Tensor, timesteps: Tensor) -> Tensor:
        """The velocity of the target's frames, plus sigma (noisy - rendered).

        At pure noise a network that says 0 then answers with the rendered picture; towards clean latents, which tell
        more than any rendering, the velocity is the network's own. ``timesteps [b, f]``, the target's last.
        """
        frames = rendered.shape[2]
        sigma = (timesteps[:, -frames:] / TIMESTEPS).to(velocity)[:, None, :, None, None]
        base = sigma * (noisy[:, :, -frames:].to(velocity) - rendered[:, : self.channels].to(velocity))
        return torch.cat([velocity[:, :, :-frames], velocity[:, :, -frames:] + base], dim=2)

"""Colour words: what a picture's colour is called, and how to paint a thing in another.

Pictures are (h, w, 3) byte arrays on white.
"""

import numpy as np

# word -> RGB of the middle tone that compose.py paints with
PALETTE = {
    "red": (226, 40, 45),
    "orange": (247, 137, 27),
    "yellow": (252, 208, 46),
    "green": (64, 172, 72),
    "blue": (46, 122, 232),
    "purple": (142, 78, 198),
    "pink": (246, 124, 184),
    "brown": (139, 88, 56),
    "black": (52, 52, 58),
}


def hsv(picture):
    """Hue in degrees, saturation and value in [0, 1], each (h, w)."""
    x = picture.astype(np.float32) / 255
    high, low = x.max(-1), x.min(-1)
    span = np.maximum(high - low, 1e-6)
    r, g, b = x[..., 0], x[..., 1], x[..., 2]
    hue = np.where(high == r, (g - b) / span % 6, np.where(high == g, (b - r) / span + 2, (r - g) / span + 4)) * 60
    return hue, (high - low) / np.maximum(high, 1e-6), high


def shares(picture):
    """Word -> part of the picture's pixels, of those that are not near white, in that colour; greys are left out."""
    hue, sat, val = hsv(picture)
    ink = ~((val > 0.9) & (sat < 0.08))
    black = val < 0.3
    plain = ~black & (sat < 0.18)
    tint = ink & ~black & ~plain
    brown = tint & (hue >= 8) & (hue < 42) & (val < 0.66)
    red = tint & ((hue < 14) | (hue >= 346)) & ~brown
    pink = (red & (sat < 0.5) & (val > 0.7)) | (tint & (hue >= 300) & (hue < 346))
    masks = {
        "red": red & ~pink,
        "orange": tint & (hue >= 14) & (hue < 40) & ~brown,
        "yellow": tint & (hue >= 40) & (hue < 68) & ~brown,
        "green": tint & (hue >= 68) & (hue < 165),
        "blue": tint & (hue >= 165) & (hue < 252),
        "purple": tint & (hue >= 252) & (hue < 300),
        "pink": pink,
        "brown": brown,
        "black": ink & black,
    }
    return {word: m.sum() / max(1, ink.sum()) for word, m in masks.items()}


def dominant(picture, least=0.0):
    """The word of the most common colour, None if it covers less than `least`; black counts for a third, as outlines are."""
    part = shares(picture)
    part["black"] /= 3
    word = max(part, key=part.get)
    return word if part[word] >= max(least, 1e-9) else None


def paint(picture, word):
    """The picture with its main colour changed to the word's, shading kept; None if it has no clear main colour."""
    hue, sat, val = hsv(picture)
    ink = ~((val > 0.97) & (sat < 0.04))
    vivid = ink & (sat > 0.25) & (val > 0.25)
    if vivid.sum() > 0.35 * ink.sum():
        bins = np.bincount((hue[vivid] // 10).astype(int) % 36, weights=(sat * val)[vivid], minlength=36)
        near = bins + np.roll(bins, 1) + np.roll(bins, -1)
        middle = near.argmax() * 10 + 5
        away = np.abs((hue - middle + 180) % 360 - 180)
        mask = np.clip((60 - away) / 20, 0, 1) * np.clip((sat - 0.12) / 0.2, 0, 1) * np.clip(val / 0.25, 0, 1)
    else:
        mask = np.clip((0.35 - sat) / 0.15, 0, 1) * np.clip((val - 0.25) / 0.2, 0, 1) * ink
    if mask.sum() < 0.3 * ink.sum():
        return None
    light = picture.astype(np.float32) @ np.array([0.3, 0.59, 0.11], np.float32) / 255
    mean = (light * mask).sum() / mask.sum()
    t = np.clip(0.5 + (light - mean) / 0.9, 0, 1)[..., None]
    colour = np.array(PALETTE[word], np.float32)
    ramp = np.where(t < 0.5, colour * (0.4 + 1.2 * t), colour + (255 - colour) * (t - 0.5) * 1.1)
    mask = mask[..., None]
    return (picture * (1 - mask) + ramp * mask).round().astype(np.uint8)

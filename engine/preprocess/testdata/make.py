"""What OpenCV makes of a picture: the goldens of ../.

  python make.py    writes NAME.png for each; needs opencv-python-headless
"""

from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent


def picture():
    y, x = np.mgrid[0:57, 0:70]
    waves = np.stack([np.sin(x / 5 + y / 9), np.cos(x / 11 - y / 4), np.sin((x + y) / 7)], -1) * 60 + 150
    waves[(x - 40) ** 2 + (y - 25) ** 2 < 200] = (230, 40, 60)
    waves[abs(x - y) < 2] = (10, 20, 5)
    waves += np.random.default_rng(1).normal(0, 6, waves.shape)
    return waves.round().clip(0, 255).astype("uint8")


def scribble_xdog(img, threshold=32):
    near = cv2.GaussianBlur(img.astype(np.float32), (0, 0), 0.5)
    far = cv2.GaussianBlur(img.astype(np.float32), (0, 0), 5.0)
    dog = (255 - np.min(far - near, axis=2)).clip(0, 255).astype(np.uint8)
    return np.where(2 * (255 - dog.astype(np.float32)) > threshold, 255, 0)


def lineart_standard(img):
    x = img.astype(np.float32)
    v = np.min(cv2.GaussianBlur(x, (0, 0), 6.0) - x, axis=2).clip(0, 255)
    v /= max(16, np.median(v[v > 8]))
    return (v * 127).clip(0, 255).astype(np.uint8)


def tile(img, rate=4):
    h, w = img.shape[:2]
    return cv2.resize(cv2.resize(img, (int(w / rate), int(h / rate)), interpolation=cv2.INTER_AREA), (w, h), interpolation=cv2.INTER_CUBIC)


def color_grid(img, cell=16):
    h, w = img.shape[:2]
    return cv2.resize(cv2.resize(img, (int(w / cell), int(h / cell)), interpolation=cv2.INTER_CUBIC), (w, h), interpolation=cv2.INTER_NEAREST)


def main():
    img = picture()
    least = np.min(img, axis=2)
    made = {
        "picture": img,
        "canny": cv2.Canny(img, 100, 200),
        "canny_low": cv2.Canny(img, 30, 60),
        "scribble": np.where(least < 127, 255, 0),
        "scribble_xdog": scribble_xdog(img),
        "lineart_standard": lineart_standard(img),
        "threshold": np.where(least > 90, 255, 0),
        "blur_gaussian": cv2.GaussianBlur(img, (0, 0), 3.0),
        "tile": tile(img),
        "color_grid": color_grid(img),
        "invert": 255 - img,
    }
    for name, v in made.items():
        v = v.astype(np.uint8)
        cv2.imwrite(str(HERE / f"{name}.png"), v if v.ndim == 2 else v[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
        print(name, v.mean())


main()

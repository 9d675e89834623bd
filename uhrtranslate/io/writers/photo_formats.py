"""Formats of photos."""

from uhrtranslate.io.writers.base import PhotoFormat

PNG = PhotoFormat("PNG", (".png",), 2**31 - 1, 2**31 - 1, 5, {"compress_level": 6})
JPEG = PhotoFormat("JPEG", (".jpg", ".jpeg"), 65_500, 65_533, 5, {"subsampling": "4:2:0"})
WEBP = PhotoFormat("WEBP", (".webp",), 16_383, 2**31 - 1, 21, {"method": 4})

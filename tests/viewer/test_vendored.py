"""OpenSeadragon is what its authors released, but for the line that asks for another file."""

import base64
import hashlib
from importlib.resources import files

from uhrtranslate.viewer.server import STYLE

ASSETS = files("uhrtranslate.viewer").joinpath("assets")
# Of version 6.1.1; `openseadragon.min.js` without its last line, which names a source map.
DIGESTS = {
    "openseadragon.min.js": "4e6fe442742db946dfbe1e748486552078e28ba617412e91b81146443465d2c4",
    "openseadragon.LICENSE.txt": "17da96b26ac706d2cbd06d4555dedb43026782f4943faf0156fe7acf89454228",
}


def test_it_is_whole_and_its_licence_is_with_it():
    for name, digest in DIGESTS.items():
        data = ASSETS.joinpath(name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest, name
        assert b"sourceMappingURL" not in data


def test_the_policy_allows_the_one_style_that_it_adds():
    text = ASSETS.joinpath("openseadragon.min.js").read_text()
    _, _, rest = text.partition('"data-openseadragon-mobile-css","true");o.textContent="')
    style = rest.partition('"')[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"sha256-{digest}" == STYLE

#!/bin/bash
# Makes sure that the browsers of the tests are there: Chromium, Firefox, Mesa's
# software Vulkan, which Firefox's WebGPU runs on, and WebKitGTK with an X server
# to show itself on; the web servers that serve what is built; and Node. Installs
# what is missing with apt-get where it may; else says what to install and fails.
set -euo pipefail

have() {
	local name
	for name in "$@"; do
		if [ -x "$name" ] || command -v "$name" >/dev/null; then return 0; fi
	done
	return 1
}

missing=()
have "${WISP_CHROMIUM:-chromium}" chromium-browser google-chrome google-chrome-stable \
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" || missing+=(chromium)
have "${WISP_FIREFOX:-firefox-esr}" firefox /Applications/Firefox.app/Contents/MacOS/firefox || missing+=(firefox-esr)
if [ "$(uname -s)" = Linux ] && ! compgen -G '/usr/share/vulkan/icd.d/lvp_icd*.json' >/dev/null; then
	missing+=(mesa-vulkan-drivers)
fi
have WebKitWebDriver || missing+=(webkit2gtk-driver) # MiniBrowser comes with the library
have Xvfb || missing+=(xvfb)
have nginx /usr/sbin/nginx || missing+=(nginx-light)
have apache2 /usr/sbin/apache2 || missing+=(apache2-bin)
have caddy || missing+=(caddy)
have node || missing+=(nodejs)
[ ${#missing[@]} -gt 0 ] || exit 0

install="apt-get install ${missing[*]}"
if ! command -v apt-get >/dev/null; then
	echo "setup: the tests need ${missing[*]} (by their Debian names): install them and run this again." >&2
	exit 1
fi
root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
		echo "setup: the tests need ${missing[*]}, and this user may not install them: run \`sudo $install\` and try again." >&2
		exit 1
	fi
	root=(sudo -n)
fi
echo "setup: installing ${missing[*]}"
"${root[@]}" apt-get update -qq
# Run level 1: no server starts by itself.
"${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

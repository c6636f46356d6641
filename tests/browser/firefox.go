package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func firefoxArgs(profile string, o Options) []string {
	return []string{"--headless", "--no-remote", "--new-instance", "--profile", profile, o.URL}
}

// prefs of a Firefox that talks to nobody, asks nothing and has WebGPU on any
// adapter.
var prefs = map[string]any{
	"dom.webgpu.enabled":          true,
	"gfx.webgpu.ignore-blocklist": true,

	"app.normandy.enabled":                            false,
	"app.update.enabled":                              false,
	"browser.aboutwelcome.enabled":                    false,
	"browser.newtabpage.enabled":                      false,
	"browser.pagethumbnails.capturing_disabled":       true, // it would load the page once more, in a container of its own
	"browser.region.update.enabled":                   false,
	"browser.safebrowsing.blockedURIs.enabled":        false,
	"browser.safebrowsing.downloads.enabled":          false,
	"browser.safebrowsing.malware.enabled":            false,
	"browser.safebrowsing.phishing.enabled":           false,
	"browser.search.update":                           false,
	"browser.sessionstore.resume_from_crash":          false,
	"browser.shell.checkDefaultBrowser":               false,
	"browser.startup.homepage_override.mstone":        "ignore",
	"browser.startup.page":                            0,
	"browser.topsites.contile.enabled":                false,
	"datareporting.healthreport.uploadEnabled":        false,
	"datareporting.policy.dataSubmissionEnabled":      false,
	"dom.ipc.processHangMonitor":                      false,
	"dom.max_script_run_time":                         0,
	"extensions.getAddons.cache.enabled":              false,
	"extensions.systemAddon.update.enabled":           false,
	"extensions.update.enabled":                       false,
	"media.gmp-manager.updateEnabled":                 false,
	"network.captive-portal-service.enabled":          false,
	"network.connectivity-service.enabled":            false,
	"network.dns.disablePrefetch":                     true,
	"network.prefetch-next":                           false,
	"privacy.reduceTimerPrecision":                    false,
	"security.remote_settings.crlite_filters.enabled": false,
	"services.settings.server":                        "data:,",
	"toolkit.startup.max_resumed_crashes":             -1,
	"toolkit.telemetry.enabled":                       false,
	"toolkit.telemetry.server":                        "",
	"toolkit.telemetry.unified":                       false,
}

// firefoxPrefs writes them into the profile.
func firefoxPrefs(profile string) error {
	var b strings.Builder
	for name, value := range prefs {
		if s, ok := value.(string); ok {
			value = fmt.Sprintf("%q", s)
		}
		fmt.Fprintf(&b, "user_pref(%q, %v);\n", name, value)
	}
	return os.WriteFile(filepath.Join(profile, "user.js"), []byte(b.String()), 0o600)
}

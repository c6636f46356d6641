// A picture from the camera. It is used here and shown to nobody.
import { dialogOf, named, pill } from "./parts.js";
import { create, sentence, t } from "./ui.js";

// open shows what the camera sees; use gets the picture that the visitor takes.
export function open(use) {
	const video = create("video", { autoplay: true, muted: true, playsInline: true });
	const failed = create("p", { hidden: true, role: "alert" });
	let stream = null, open = true;
	const stop = () => stream?.getTracks().forEach((track) => track.stop());
	const shoot = pill("takePhoto", async () => {
		const canvas = create("canvas", { width: video.videoWidth, height: video.videoHeight });
		canvas.getContext("2d").drawImage(video, 0, 0);
		const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
		box.close();
		await use(blob);
	}, "pill strong");
	shoot.disabled = true;
	video.addEventListener("loadeddata", () => (shoot.disabled = false));
	const box = dialogOf("beginCamera", "camera", "cancel", () => {
		open = false;
		stop();
	}, video, failed, named("p", "cameraHelp"), create("div", { className: "tools" }, shoot));
	navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1024 }, height: { ideal: 1024 } } }).then((s) => {
		stream = s;
		if (open) video.srcObject = s;
		else stop();
	}, (err) => {
		failed.textContent = sentence(err.name === "NotAllowedError" ? t("noCameraAllowed") : t("noCamera"));
		failed.hidden = false;
	});
}

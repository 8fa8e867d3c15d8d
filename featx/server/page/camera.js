// A photo from the camera, as a file.
import { h, say } from "./dom.js";

export async function takePhoto() {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    say("The camera cannot be used: allow it in the browser, or choose a photo.");
    return null;
  }
  return new Promise((resolve) => {
    const finish = (file) => {
      stream.getTracks().forEach((track) => track.stop());
      dialog.close();
      dialog.remove();
      resolve(file);
    };
    const shoot = () => {
      const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => finish(new File([blob], "camera.jpg", { type: "image/jpeg" })), "image/jpeg", 0.92);
    };
    // Before the first picture has come there is nothing to use.
    const use = h("button", { type: "button", class: "primary", disabled: true, onclick: shoot }, "Use this picture");
    const shown = () => { use.disabled = false; use.focus(); };
    const video = h("video", { autoplay: true, playsInline: true, muted: true, srcObject: stream, onloadeddata: shown });
    video.setAttribute("aria-label", "The camera");
    const dialog = h("dialog", { oncancel: () => finish(null) }, video,
      h("div", { class: "row" }, use, h("button", { type: "button", onclick: () => finish(null) }, "Cancel")));
    dialog.setAttribute("aria-label", "Take a photo");
    document.body.append(dialog);
    dialog.showModal();
  });
}

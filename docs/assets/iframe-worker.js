/* A page that was opened from a folder may start no worker, and the search of the site is one. Here it runs in a hidden frame instead.
   Material's offline plugin would take such a stand-in from a server; the site asks no server for anything. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = (...scripts) => scripts.forEach((one) => this.load(one));
      this.load(address, () => {
        this.ready = true;
        this.waiting.forEach((data) => this.postMessage(data));
      });
    }
    load(address, then) {
      const script = this.frame.contentDocument.createElement("script");
      script.src = new URL(address, location.href);
      script.async = false;
      if (then) script.addEventListener("load", then);
      this.frame.contentDocument.body.append(script);
    }
    postMessage(data) {
      if (!this.ready) return void this.waiting.push(data);
      const inside = this.frame.contentWindow;
      inside.dispatchEvent(new inside.MessageEvent("message", { data }));
    }
    terminate() {
      this.frame.remove();
    }
  };
}

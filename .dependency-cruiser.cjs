// The walls of the house (docs/architecture.md): which folder may import which. Arrows go one way.
const only = (name, from, allowed, comment) => ({
  name,
  severity: "error",
  comment,
  from: { path: from, pathNot: "\\.test\\.ts$" },
  to: { path: "^(bin|driver|deploy-helper|manage|api|compute|db|lib|lab|test|bench|packages)/", pathNot: allowed },
});

module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
    { name: "no-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    { name: "no-dev-dependency", severity: "error", from: { path: "^(bin|driver|deploy-helper|manage|api|compute|db|lib)/", pathNot: "\\.test\\.ts$" }, to: { dependencyTypes: ["npm-dev", "npm-no-pkg"] } },
    { name: "knex-in-db-only", severity: "error", from: { pathNot: "^(db|test)/" }, to: { path: "node_modules/(knex|better-sqlite3|mysql2)/" } },
    { name: "no-process-on-the-hot-path", severity: "error", comment: "No shell-outs while deploying: iSCSI, IPMI, TFTP, qcow2 and partition tables are spoken in our own process.", from: { path: "^(driver|deploy-helper|compute|api|db|lib|packages/[^/]+/src)/", pathNot: "\\.test\\.ts$" }, to: { path: "^(node:)?child_process$" } },
    only("lib-is-a-leaf", "^lib/", "^lib/", "lib knows no domain word and imports nothing of ours"),
    only("db", "^db/", "^(db|lib)/", "db -> lib"),
    only("driver", "^driver/", "^(driver|db|lib|packages/ipmi-js)/", "driver -> ipmi-js, db, lib"),
    only("deploy-helper", "^deploy-helper/", "^(deploy-helper|db|lib|packages/node-iscsi)/", "deploy-helper -> node-iscsi, db, lib"),
    only("compute", "^compute/", "^(compute|driver|db|lib)/", "compute -> driver, db, lib"),
    only("api", "^api/", "^(api|compute|db|lib)/", "api -> compute, db, lib; the driver is compute's business"),
    only("manage", "^manage/", "^(manage|db|lib)/", "manage -> db (db sync only), lib"),
    only("lab", "^lab/", "^(lab|lib|packages)/", "the lab is a user: it knows the API over HTTP and the packages, nothing inside"),
    only("packages", "^packages/([^/]+)/", "^packages/$1/", "a package imports nothing of ours"),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["source", "import", "types", "default"] },
    combinedDependencies: true,
  },
};

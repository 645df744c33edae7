// Version 2 of the compute side's schema: who stopped an instance, its user or the machine itself.
import { dropColumn, ensureColumn, type Migration } from "../schema-steps.ts";

export const stoppedByUser: Migration = {
  version: 2,
  up: async (trx) => {
    await ensureColumn(trx, "instances", "stopped_by_user", (table) => {
      table.boolean("stopped_by_user").notNullable().defaultTo(0);
    });
    // Until now nobody else stopped an instance.
    await trx("instances").where({ vm_state: "stopped", deleted: 0 }).update({ stopped_by_user: 1 });
  },
  down: (trx) => dropColumn(trx, "instances", "stopped_by_user"),
};

// The migrations of both schemas, by number. To add one: the next number, a file, a line here, a test with rows in it.
import { juno } from "./migrations/baremetal/010-juno.ts";
import { deployments } from "./migrations/baremetal/011-deployments.ts";
import { compute } from "./migrations/nova/001-compute.ts";
import { stoppedByUser } from "./migrations/nova/002-stopped-by-user.ts";
import type { Migration } from "./migrations/schema-steps.ts";

/** The versions of one schema, in order. Version 0 is the empty one. */
export class MigrationSource {
  /** The row's key in `migrate_version`, the table of sqlalchemy-migrate. */
  readonly repository: string;
  readonly #migrations: readonly Migration[];

  constructor(repository: string, migrations: readonly Migration[]) {
    this.repository = repository;
    this.#migrations = [...migrations].sort((a, b) => a.version - b.version);
  }

  /** The newest version. */
  get latest(): number {
    return this.#migrations.at(-1)?.version ?? 0;
  }

  /** True for 0 and for each version that there is a migration to. */
  has(version: number): boolean {
    return version === 0 || this.#migrations.some((migration) => migration.version === version);
  }

  /** The steps from one version to another, each with the version that holds after it. */
  path(from: number, to: number): { run: Migration["up"]; reaches: number }[] {
    if (from <= to) {
      return this.#migrations
        .filter(({ version }) => version > from && version <= to)
        .map(({ up, version }) => ({ run: up, reaches: version }));
    }
    return this.#migrations
      .filter(({ version }) => version <= from && version > to)
      .reverse()
      .map(({ down, version }) => ({ run: down, reaches: this.#before(version) }));
  }

  #before(version: number): number {
    return this.#migrations.filter((migration) => migration.version < version).at(-1)?.version ?? 0;
  }
}

/** The nodes' schema. It goes on from the original's numbers: 10 is Juno's. */
export const baremetalMigrations = new MigrationSource("nova_bm", [juno, deployments]);

/** The compute side's schema. */
export const novaMigrations = new MigrationSource("nova_baremetal_compute", [compute, stoppedByUser]);

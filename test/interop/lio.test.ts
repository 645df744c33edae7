// Our initiator against the Linux kernel's own iSCSI target (LIO), in one machine for all the tests of lio-*.ts.
import { describeLioCommands } from "./lio-commands.ts";
import { describeLioData } from "./lio-data.ts";
import { describeLioLogin } from "./lio-login.ts";
import { LioMachine } from "./lio-machine.ts";
import { describeLioRecovery } from "./lio-recovery.ts";
import { describeLioReservations } from "./lio-reservations.ts";

/** The first run on a computer downloads the kernel package. */
const START_DEADLINE_MS = 600_000;

describe("LIO", () => {
  let started: LioMachine | undefined;
  let hasFailed = false;
  const machine = (): LioMachine => {
    if (started === undefined) throw new Error("the LIO machine is not up");
    return started;
  };

  before(async function () {
    this.timeout(START_DEADLINE_MS);
    started = await LioMachine.start();
  });

  afterEach(function () {
    hasFailed ||= this.currentTest?.state === "failed";
  });

  after(async () => {
    if (hasFailed) process.stderr.write(`--- end of the LIO machine's console\n${await machine().console()}\n`);
    await started?.stop();
  });

  describeLioLogin(machine);
  describeLioData(machine);
  describeLioCommands(machine);
  describe("persistent reservations", () => describeLioReservations(machine));
  describe("recovery", () => describeLioRecovery(machine));
});

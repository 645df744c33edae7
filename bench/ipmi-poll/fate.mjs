// Which BMCs of a plan are dead, and which lose datagrams: the rack and who measures it must mean the same ones.

/** Every `deadEvery`-th port has nobody on it. 0: none. */
export function isDead({ deadEvery = 0 }, index) {
  return deadEvery > 0 && index % deadEvery === 0;
}

/** Every `lossyEvery`-th BMC drops datagrams; never a dead one, if both are the same number. 0: none. */
export function isLossy({ lossyEvery = 0 }, index) {
  return lossyEvery > 0 && index % lossyEvery === 1;
}

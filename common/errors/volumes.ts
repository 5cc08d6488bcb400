/** Errors of volumes and snapshots. */
import { Duplicate, Invalid, NotFound, NovaError } from './base.js';

export class VolumeNotFound extends NotFound {
  constructor(readonly volumeId: number | string) {
    super(`Volume ${volumeId} could not be found.`);
  }
}
export class SnapshotNotFound extends NotFound {
  constructor(readonly snapshotId: number | string) {
    super(`Snapshot ${snapshotId} could not be found.`);
  }
}
export class VolumeTypeNotFound extends NotFound {
  constructor(id: number | string) {
    super(`Volume type ${id} could not be found.`);
  }
}
export class VolumeTypeNotFoundByName extends NotFound {
  constructor(name: string) {
    super(`Volume type with name ${name} could not be found.`);
  }
}
export class VolumeTypeExtraSpecsNotFound extends NotFound {
  constructor(id: number | string, key: string) {
    super(`Volume Type ${id} has no extra specs with key ${key}.`);
  }
}
export class VolumeTypeExists extends Duplicate {
  constructor(name: string, extraSpecs: Readonly<Record<string, string>>) {
    super(`Cannot create volume_type with name ${name} and specs ${JSON.stringify(extraSpecs)}`);
  }
}
export class InvalidVolumeType extends Invalid {
  constructor(reason: string) {
    super(`Invalid volume type: ${reason}`);
  }
}
export class VolumeIsBusy extends NovaError {
  constructor(name: string) {
    super(`deleting volume ${name} that has snapshot`);
  }
}
export class NoMoreTargets extends NovaError {
  constructor() {
    super('No more iSCSI targets available.');
  }
}

/** Errors of instances, their types and their moves. */
import { Duplicate, Invalid, NotFound, NovaError } from './base.js';

export class InstanceNotFound extends NotFound {
  constructor(readonly instanceId: number | string) {
    super(`Instance ${instanceId} could not be found.`);
  }
}
export class InstanceTypeNotFoundByName extends NotFound {
  constructor(name: string) {
    super(`Instance type with name ${name} could not be found.`);
  }
}
export class InstanceTypeNotFound extends NotFound {
  constructor(id: number | string) {
    super(`Instance type ${id} could not be found.`);
  }
}
export class InstanceTypeExists extends Duplicate {
  constructor(name: string) {
    super(`Instance Type ${name} already exists.`);
  }
}
export class InstanceNotRunning extends Invalid {
  constructor(instanceId: string | number) {
    super(`Instance ${instanceId} is not running.`);
  }
}
export class ImageRotationNotAllowed extends NovaError {
  constructor() {
    super('Rotation is not allowed for snapshots');
  }
}
export class RotationRequiredForBackup extends NovaError {
  constructor() {
    super('Rotation param is required for backup image_type');
  }
}
export class MigrationNotFound extends NotFound {
  constructor(id: number) {
    super(`Migration ${id} could not be found.`);
  }
}
export class MigrationNotFoundByStatus extends NotFound {
  constructor(instanceId: number | string, status: string) {
    super(`Migration not found for instance ${instanceId} with status ${status}.`);
  }
}
export class MigrationError extends NovaError {
  constructor(reason: string) {
    super(`Migration error: ${reason}`);
  }
}
export class CannotResizeToSameSize extends NovaError {
  constructor() {
    super('When resizing, instances must change size!');
  }
}
export class CannotResizeToSmallerSize extends NovaError {
  constructor() {
    super('Resizing to a smaller size is not supported.');
  }
}

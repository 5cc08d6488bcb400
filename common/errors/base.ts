/** What every error is, and kinds which belong to no subject. */

/** Base of every error which the product raises on purpose. `name` is the class name seen on the wire. */
export class NovaError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** An unclassified failure; what nova/exception.py `Error` is on the wire. */
export class NovaPlainError extends NovaError {
  constructor(message: string) {
    super(message);
    this.name = 'Error';
  }
}

/**
 * A request which the rules refuse. `code`, when given, replaces the generic EC2 code; `awsCode` is what EC2 itself says
 * where 2011.3 has the generic one (flag ec2_error_codes).
 */
export class ApiError extends NovaError {
  constructor(
    message: string,
    readonly code?: string,
    readonly awsCode?: string,
  ) {
    super(message);
  }
}

/** A project's quota does not allow the request. `code` as in {@link ApiError}. */
export class QuotaError extends ApiError {}

/** Anything that does not exist, or is not the caller's to see. */
export class NotFound extends NovaError {}

/** Something with this name exists already. */
export class Duplicate extends NovaError {}

/** Input of the wrong form. */
export class Invalid extends NovaError {}
export class InvalidInput extends Invalid {
  constructor(reason: string) {
    super(`Invalid input received: ${reason}`);
  }
}
export class InvalidParameterValue extends Invalid {}
export class InvalidEc2Id extends Invalid {
  /** `expected` is the prefix which the parameter asks for, e.g. `vol`. */
  constructor(
    ec2Id: string,
    readonly expected?: string,
  ) {
    super(`Ec2 id ${ec2Id} is unacceptable.`);
  }
}

export class NotAuthorized extends NovaError {
  constructor(message = 'Not authorized.') {
    super(message);
  }
}
export class AdminRequired extends NotAuthorized {
  constructor() {
    super('User does not have admin privileges');
  }
}
export class FileNotFound extends NotFound {
  constructor(path: string) {
    super(`File ${path} could not be found.`);
  }
}

/**
 * A statement which the database refused; the driver's own text. `reason`: a uniqueness constraint; a deadlock or lock
 * time-out which outlasted its retries; no server; a server which went away while it committed, so that nobody knows
 * whether it did; a file or account which can't be used; anything else.
 */
export class DBError extends NovaError {
  constructor(
    message: string,
    readonly reason: 'unique' | 'conflict' | 'lost' | 'unknown' | 'hopeless' | 'other' = 'other',
  ) {
    super(message);
  }
}

/** A flag, file or environment which makes it impossible to start. The message is one sentence for the operator. */
export class StartupError extends NovaError {}

/** An error with the name of a class of Python's own (`TypeError`, `AttributeError`, `IndexError`), where callers know it. */
export class PythonError extends NovaError {
  constructor(pythonClass: string, message: string) {
    super(message);
    this.name = pythonClass;
  }
}

/** The text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The class name by which an error crosses the wire. */
export function errorType(error: unknown): string {
  return error instanceof Error ? error.name : 'Error';
}

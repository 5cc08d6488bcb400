import { DBError, errorText } from '../errors.js';
import { driverError, type Dialect } from './dialects/dialect.js';

/** The driver's error as a {@link DBError} with the driver's text; what is one already stays. */
export function asDbError(dialect: Dialect, error: unknown): DBError {
  if (error instanceof DBError) return error;
  const text = errorText(driverError(error)) || errorText(error);
  return new DBError(text === '' ? 'the database does not answer' : text, dialect.failure(error));
}

/** True for the error of a statement which a UNIQUE constraint or a primary key refused. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof DBError && error.reason === 'unique';
}

/** Of the columns to be written only those which differ from the row: what keeps its value is not written, as in 2011.3. */
export function changedColumns<R extends object, V extends { [K in keyof V]: unknown }>(row: R, values: V): Partial<V> {
  const entries = Object.entries(values).filter(([column, value]) => row[column as keyof R] !== value);
  return Object.fromEntries(entries) as Partial<V>;
}

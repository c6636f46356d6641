// What git calls the checkout that this was built of: build writes it here.
export const version = "";

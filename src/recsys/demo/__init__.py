"""The retail demo: a year of a real shop's invoices, turned into the rows and documents of one tenant."""

/// The version of all executables of the product, as `--version`, INFO and the metrics show it.
public enum ProductVersion {
    public static let current = "0.1.0"
}

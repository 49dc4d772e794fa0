import ServerConfiguration

extension ServerSettings {
    /// Applies directives in order.
    ///
    /// - Throws: the first unknown directive or wrong value, with file and line.
    public mutating func apply(_ directives: [Directive]) throws(ConfigurationError) {
        var hasSaveRules = false
        for directive in directives {
            guard let parameter = ParameterTable.byName[directive.name] else {
                throw directive.error("unknown directive")
            }
            // `save` lines add up, after the first has replaced the defaults.
            let before = saveRules
            do throws(ConfigurationValueError) {
                try parameter.set(&self, directive.arguments)
            } catch {
                throw directive.error(error.message)
            }
            if parameter.name == "save" {
                if hasSaveRules, !saveRules.isEmpty { saveRules = before + saveRules }
                hasSaveRules = true
            }
        }
    }
}

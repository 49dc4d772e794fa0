// Time zones by their IANA names, in static executables too.
//
// Foundation has its zones in a part of its own (FoundationInternationalization, with ICU's data), which it finds at run time if it
// is there. A linker that picks what is referenced from static libraries leaves it out, and then there is no zone but GMT. So
// something of that part is used here. It makes the executable 39 MB larger, of which only what is used is read into memory.
// Rejected: reading /usr/share/zoneinfo ourselves (calendars are not what this project is for), glibc's TZ (one for the process).
import Foundation

enum TimeZones {
    /// - Returns: nil when there is no such zone.
    static func find(_ name: String) -> TimeZone? {
        // The version of the data is what refers to the part that must be linked in.
        TimeZone.timeZoneDataVersion.isEmpty ? nil : TimeZone(identifier: name)
    }
}
